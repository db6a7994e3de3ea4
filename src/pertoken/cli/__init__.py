"""The command line: one file for each group of commands. A command imports heavy modules only if it needs them."""
