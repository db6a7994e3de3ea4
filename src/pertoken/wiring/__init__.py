"""Joins concrete stores, clients and tokenizers into what services and commands use: one noun a module, no decisions.

This is the one door to `store` and `upstream`: no other room imports them. Import a name from its module, so that a
command loads only what it uses.
"""
