"""The providers' formats: bytes to values and back. No sockets, no clock, no decisions about money."""
