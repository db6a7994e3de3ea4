"""The data plane: sockets in, `services.serve` behind."""
