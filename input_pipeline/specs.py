"""Parse the text that names data: specs `KIND:WHERE[?SPLIT][START:STOP]`, and weighted sums of specs."""

import math
import re
from collections.abc import Sequence
from typing import NamedTuple

from input_pipeline.errors import UserError, require


class Spec(NamedTuple):
    """A parsed source spec.

    Attributes:
      kind: name of the kind, `NAME` or `NAME/VARIANT`.
      where: what the reader of that kind needs to find the data.
      split: name of the split, or None.
      start, stop: the Python slice of the split, or None.
    """

    kind: str
    where: str
    split: str | None
    start: int | None
    stop: int | None


_BARE = re.compile(r"(?P<where>.*?)(?P<slice>\[[^\[\]/]*:[^\[\]/]*\])?", re.DOTALL)
_TAIL = re.compile(r"(?P<split>[\w.-]+)?(?P<slice>\[(?P<start>-?\d{1,18})?:(?P<stop>-?\d{1,18})?\])?")


def parse_spec(text: str) -> Spec:
    """Parse `KIND:WHERE[?SPLIT][START:STOP]`, e.g. `folder:DIR?train[0:700]` or `synthetic:2000?[:100]`.

    Without a split, the slice may follow WHERE: `folder:DIR[0:5]`. WHERE may hold colons and question marks, as in
    `folder:gs://bucket/dir?train`: the kind ends at the first colon, and the split begins after the last question mark
    unless a slash follows it.

    Raises:
      UserError: the text has another form.
    """
    kind, _, rest = text.partition(":")
    where, mark, tail = rest.rpartition("?")
    if not mark or "/" in tail:
        bare = _BARE.fullmatch(rest)
        where, mark, tail = bare["where"], "", bare["slice"] or ""
    match = _TAIL.fullmatch(tail)
    require(
        kind and where and match and (tail or not mark),
        f"'{text}' does not name a data set: write KIND:WHERE[?SPLIT], for example 'folder:faces?train', "
        "'folder:faces?train[0:700]' or 'synthetic:2000?val'",
    )
    start, stop = (None if match[key] is None else int(match[key]) for key in ("start", "stop"))
    return Spec(kind, where, match["split"], start, stop)


def with_split(text: str, split: str) -> str:
    """Return the spec of one split of the data in `text`; `text` itself if it names a split, or if `split` is empty."""
    parsed = parse_spec(text)
    if not split or parsed.split:
        return text
    start, stop = ("" if end is None else end for end in (parsed.start, parsed.stop))
    part = "" if parsed.start is None and parsed.stop is None else f"[{start}:{stop}]"
    return f"{parsed.kind}:{parsed.where}?{split}{part}"


def check_split(kind: str, where: str, split: str, found: Sequence[str]) -> None:
    """Check that the data `KIND:WHERE` have a split called `split`.

    Args:
      kind, where: as in a source spec.
      split: the requested split; "" for data without splits.
      found: the existing splits; () for data without splits.

    Raises:
      UserError: they have no such split, have no splits at all, or the spec must name one.
    """
    if split in (found or ("",)):
        return
    problem = f"is not divided into splits: leave '?{split}' out, as in '{kind}:{where}'"
    if found:
        fault = f"has no split '{split}'" if split else "is divided into splits"
        problem = f"{fault}: name one of {', '.join(found)}, as in '{kind}:{where}?{found[0]}'"
    raise UserError(f"'{where}' {problem}")


def parse_mixture(text: str) -> list[tuple[float, str]]:
    """Parse `[NUMBER*]SPEC + [NUMBER*]SPEC ...` into pairs (weight, spec); a spec without a number has weight 1.

    Raises:
      UserError: an empty spec, or a weight that is not a positive number; the specs themselves are not checked.
    """
    return [_parse_part(part.strip(), text) for part in text.split(" + ")]


def _parse_part(part: str, text: str) -> tuple[float, str]:
    """Return (weight, spec) of one term of a mixture; a star after the first colon belongs to a path."""
    kind, colon, where = part.partition(":")
    weight, star, kind = kind.rpartition("*")
    spec = kind + colon + where
    try:
        value = float(weight) if star else 1.0
    except ValueError:
        value = math.nan
    if spec.strip() and 0 < value < math.inf:
        return value, spec.strip()
    fault = f"the weight '{weight}' in '{text}' is not a positive number: write for example '0.7*{spec}'"
    if not spec.strip():
        fault = f"the mixture '{text}' has an empty part: write [NUMBER*]SPEC + [NUMBER*]SPEC"
    raise UserError(fault)
