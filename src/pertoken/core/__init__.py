"""Values and decisions: values in, values out; no I/O, no clock, no chance, no logging."""
