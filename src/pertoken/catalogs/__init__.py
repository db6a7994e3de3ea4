"""Price lists and model sizes as others publish them, read into our own rows."""
