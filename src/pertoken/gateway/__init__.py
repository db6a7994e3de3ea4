"""The data plane: takes calls from sockets and passes them to `services.serve`."""
