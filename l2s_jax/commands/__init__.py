"""The commands of `l2s`.

A command is a module with three parts: its docstring, which is its help text; `add_arguments`; and `run`, which imports
what is heavy, so that every help text comes at once. The other modules help one or more commands.
"""
