"""Joins concrete stores, clients and tokenizers for services and commands: one module for each noun, no decisions.

Only this room imports `store` and `upstream`. Import a name from its module, so that a
command loads only what it uses.
"""
