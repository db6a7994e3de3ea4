"""Price lists, model sizes and providers as others publish them, read into our own rows."""
