"""Licences as text: what data may be used for, and which of several licences governs what is made from all of them.

A licence is one text: an SPDX identifier (`CC0-1.0`), a sentence, or several of either, separated by `; `.
"""

import enum
import re
from collections.abc import Iterable

OURS = "Apache-2.0"
"""The licence of what this project renders itself."""
UNKNOWN = "unknown: see the data's own terms"
MAX_LENGTH = 2000

_PERMISSIVE = re.compile(r"apache-2\.0|mit|mit-0|isc|zlib|bsd-[23]-clause|cc0-1\.0|pddl-1\.0|unlicense", re.I)
_ATTRIBUTION = re.compile(r"cc-by(-sa)?-\d\.\d|odc-by-1\.0|odbl-1\.0|cdla-(permissive|sharing)-\d\.\d", re.I)
# Terms for research or education only count as non-commercial: nobody may sell what is made from such data.
_NON_COMMERCIAL = re.compile(r"non-?commercial|\bnc\b|\bresearch\b|\bacademic\b|\beducation", re.I)


class Strictness(enum.IntEnum):
    """Restrictions of a licence, mildest first; unknown terms may forbid anything, so they outrank a known duty."""

    PERMISSIVE = 0
    ATTRIBUTION = 1
    UNKNOWN = 2
    NON_COMMERCIAL = 3


_WORDS = ("permissive", "attribution or share-alike", "unknown terms", "non-commercial")


def strictness(licence: str) -> Strictness:
    """Return how strict a licence is, judged by its text; only well-known identifiers count as mild."""
    parts = licence.split("; ")
    if all(_PERMISSIVE.fullmatch(part) for part in parts):
        return Strictness.PERMISSIVE
    if all(_PERMISSIVE.fullmatch(part) or _ATTRIBUTION.fullmatch(part) for part in parts):
        return Strictness.ATTRIBUTION
    return Strictness.NON_COMMERCIAL if _NON_COMMERCIAL.search(licence) else Strictness.UNKNOWN


def strictest(licences: Iterable[str]) -> str:
    """Return the licence of what is made from several things: the strictest; all of them, joined, if several tie.

    Args:
      licences: at least one.
    """
    licences = tuple(licences)
    ruling = max(map(strictness, licences))
    found = [licence.removesuffix(".") for licence in licences if strictness(licence) is ruling]
    parts = dict.fromkeys(part for licence in found for part in licence.split("; "))
    return "; ".join(parts)


def tidy(text: object) -> str:
    """Return the licence in untrusted text as one line of printable characters; UNKNOWN if there is none."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return "".join(filter(str.isprintable, words))[:MAX_LENGTH] or UNKNOWN


def short(licence: str, length: int = 40) -> str:
    """Return a licence for limited space: unchanged if it fits, else its kind."""
    return licence if len(licence) <= length else _WORDS[strictness(licence)]
