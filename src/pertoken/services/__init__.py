"""One verb a module: what pertoken does, in terms of ports and core values."""
