"""Our HTTP/1.1 client to providers, and the providers as configured."""
