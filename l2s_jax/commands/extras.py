"""Packages that only some commands need: `pip install 'l2s_jax[EXTRA]'` brings them."""

import contextlib
from collections.abc import Iterator

from input_pipeline.errors import UserError


@contextlib.contextmanager
def extra(name: str, purpose: str) -> Iterator[None]:
    """Turn a missing package into a sentence.

    Args:
      name: of the extra that brings it.
      purpose: what needs it, the beginning of the sentence.

    Raises:
      UserError: a package that is imported inside the block is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        raise UserError(
            f"{purpose} needs the package '{error.name}': `pip install 'l2s_jax[{name}]'` brings it"
        ) from error
