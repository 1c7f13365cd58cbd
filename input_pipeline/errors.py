"""The exception for user mistakes, hints at near spellings, and untrusted text made safe to print."""

import difflib
import functools
import os
import sys
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

Value = TypeVar("Value")


class UserError(Exception):
    """A mistake the user can correct: one sentence that names the thing and the way out.

    The command line prints the sentence (no traceback) and exits with code 2.
    """


def require(holds: object, sentence: str) -> None:
    """Raise a UserError with this sentence unless something holds.

    The sentence is made in either case: where making it costs time or takes the mistake for granted, write `if`.
    """
    if not holds:
        raise UserError(sentence)


def sentence_of(error: Exception) -> str | None:
    """Return what to tell the user of a mistake, or of a file that the operating system refuses; None of a bug."""
    if isinstance(error, UserError):
        return printable(str(error).replace("\n", " "))
    if isinstance(error, OSError) and error.filename is not None:
        return printable(f"'{os.fsdecode(error.filename)}' cannot be used: {error.strerror}")
    return None


def script(main: Callable[..., None]) -> Callable[..., int]:
    """Give the `main` of a script an exit code: 2 after a mistake, with one sentence on stderr, else 0."""

    @functools.wraps(main)
    def run(*arguments) -> int:
        try:
            main(*arguments)
        except (UserError, OSError) as error:
            sentence = sentence_of(error)
            if sentence is None:
                raise
            print(f"{Path(main.__code__.co_filename).stem}: {sentence}", file=sys.stderr)
            return 2
        return 0

    return run


def nearest(word: str, choices: Iterable[str], otherwise: str, *, cutoff: float = 0.5) -> str:
    """Return the hint for an unknown word: `did you mean 'CHOICE'?`, or `otherwise` if no choice is near.

    Args:
      word: what the user wrote.
      choices: the valid words.
      otherwise: the hint if no choice is near.
      cutoff: how similar a choice must be, in [0, 1] (`difflib`).
    """
    close = difflib.get_close_matches(word, list(choices), n=1, cutoff=cutoff)
    return f"did you mean '{close[0]}'?" if close else otherwise


def lookup(table: Mapping[str, Value], name: object, what: str, *, of: str = "", cutoff: float = 0.5) -> Value:
    """Return `table[name]`.

    Args:
      table: by name.
      name: what the user wrote.
      what: the kind of thing that is looked up, for the sentence ("class").
      of: what it belongs to ("of label set 'lapa'").
      cutoff: see `nearest`.

    Raises:
      UserError: no such name; the sentence suggests the nearest one, or lists them all.
    """
    if isinstance(name, str) and name in table:
        return table[name]
    word = clipped(name)
    hint = nearest(word, table, f"there are: {', '.join(table) or 'none'}", cutoff=cutoff)
    raise UserError(" ".join(filter(None, (f"unknown {what} '{word}'", of, f"({hint})"))))


def near(word: str, known: Iterable[str]) -> str:
    """Return the hint of `nearest` in parentheses after a space, or nothing if no word is near."""
    hint = nearest(word[:80], known, "", cutoff=0.6)
    return f" ({hint})" if hint else ""


def listed(words: Iterable[str]) -> str:
    """Join the first 20 words into a text that says how many more there are, or return `none`."""
    words = [*words]
    few = [clipped(word, 40) for word in words[:20]]
    return ", ".join(few) + (f" and {len(words) - len(few)} more" if len(words) > len(few) else "") or "none"


def clipped(value: object, most: int = 80) -> str:
    """Return `str(value)` for a sentence, cut to `most` characters with `...` at the end."""
    text = str(value)
    return text if len(text) <= most else text[: most - 3] + "..."


def printable(text: str) -> str:
    r"""Return the text in printable form: characters that are not visible become escapes, e.g. `\x1b`.

    File names may hold anything: terminal control sequences, line breaks, marks that change the direction of
    writing, bytes that are not UTF-8 (`\udcff`).
    """
    return "".join(c if c.isprintable() or unicodedata.category(c) == "Zs" else repr(c)[1:-1] for c in text)
