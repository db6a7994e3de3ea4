"""Counts tokens with the real tokenizers, offline."""
