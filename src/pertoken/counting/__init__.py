"""Counting tokens with the real tokenizers, offline."""
