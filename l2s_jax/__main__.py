"""`python -m l2s_jax`: the command `l2s`, where it is not on the path."""

import sys

from l2s_jax.cli import main

if __name__ == "__main__":
    sys.exit(main())
