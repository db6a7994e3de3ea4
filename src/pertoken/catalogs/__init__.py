"""Reads published price lists, model sizes and providers into our own rows."""
