"""The one exception for what a user can get wrong, the hint at what was meant, and hostile text made fit to print."""

import difflib
import unicodedata
from collections.abc import Iterable


class UserError(Exception):
    """A mistake the user can mend: one sentence that names the thing and the way out.

    The command line prints the sentence (no traceback) and exits with code 2.
    """


def nearest(word: str, choices: Iterable[str], otherwise: str, *, cutoff: float = 0.5) -> str:
    """The hint of a sentence about an unknown word: `did you mean 'CHOICE'?`, or `otherwise` where none is near.

    Args:
      word: what the user wrote.
      choices: what there is.
      otherwise: the hint where no choice is near.
      cutoff: how alike a choice must be, in [0, 1] (`difflib`).
    """
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=cutoff)
    return f"did you mean '{close[0]}'?" if close else otherwise


def clipped(value: object, most: int = 80) -> str:
    """`str(value)` for a sentence: what is longer than `most` characters ends in `...` there."""
    text = str(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def printable(text: str) -> str:
    r"""The text as it may be printed: what is no visible character is written as its escape, e.g. `\x1b`.

    Names of files hold anything: control sequences that a terminal obeys, line breaks, marks that turn the direction
    of writing, bytes that are no UTF-8 (`\udcff`).
    """
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in text)
