"""The subcommands of `l2s`: `arguments.py` defines their arguments, every other file runs one of them."""
