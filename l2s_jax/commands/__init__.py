"""The subcommands of `l2s`: `arguments.py` is their grammar, every other file runs one of them."""
