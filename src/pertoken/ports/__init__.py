"""What services need from the world, as protocols: one module a noun. Wiring brings the concrete ones."""
