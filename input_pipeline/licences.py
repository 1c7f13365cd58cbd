"""Licences in words: what data may be used for, and which of several terms rules what is made of all of them.

A licence is one text: an SPDX identifier (`CC0-1.0`), a sentence, or several of either, parted by `; `.
"""

import enum
import re
from collections.abc import Iterable

OURS = "Apache-2.0"
"""Of what this project draws itself."""
UNKNOWN = "unknown: see the data's own terms"
MAX_LENGTH = 2000

_PERMISSIVE = re.compile(r"apache-2\.0|mit|mit-0|isc|zlib|bsd-[23]-clause|cc0-1\.0|pddl-1\.0|unlicense", re.I)
_ATTRIBUTION = re.compile(r"cc-by(-sa)?-\d\.\d|odc-by-1\.0|odbl-1\.0|cdla-(permissive|sharing)-\d\.\d", re.I)
# Terms for research or education alone count as non-commercial: nobody may sell what is made of such data.
_NON_COMMERCIAL = re.compile(r"non-?commercial|\bnc\b|\bresearch\b|\bacademic\b|\beducation", re.I)


class Strictness(enum.IntEnum):
    """What terms ask for, the mildest first. What nobody states may be forbidden, so it outranks a known duty."""

    PERMISSIVE = 0
    ATTRIBUTION = 1
    UNKNOWN = 2
    NON_COMMERCIAL = 3


_WORDS = ("permissive", "attribution or share-alike", "unknown terms", "non-commercial")


def strictness(licence: str) -> Strictness:
    """How strict a licence is, judged by its text; only well-known identifiers count as mild."""
    parts = licence.split("; ")
    if all(_PERMISSIVE.fullmatch(part) for part in parts):
        return Strictness.PERMISSIVE
    if all(_PERMISSIVE.fullmatch(part) or _ATTRIBUTION.fullmatch(part) for part in parts):
        return Strictness.ATTRIBUTION
    return Strictness.NON_COMMERCIAL if _NON_COMMERCIAL.search(licence) else Strictness.UNKNOWN


def strictest(licences: Iterable[str]) -> str:
    """The licence of what is made of several things: the strictest of theirs, all of them where several are as strict.

    Args:
      licences: at least one.
    """
    licences = tuple(licences)
    ruling = max(map(strictness, licences))
    found = [licence.removesuffix(".") for licence in licences if strictness(licence) is ruling]
    parts = dict.fromkeys(part for licence in found for part in licence.split("; "))
    return "; ".join(parts)


def tidy(text: object) -> str:
    """The licence in a text that nobody vouches for: one line of printable characters; UNKNOWN for none."""
    words = " ".join(text.split()) if isinstance(text, str) else ""
    return "".join(filter(str.isprintable, words))[:MAX_LENGTH] or UNKNOWN


def short(licence: str, length: int = 40) -> str:
    """A licence for a narrow place: itself where it fits, else its kind."""
    return licence if len(licence) <= length else _WORDS[strictness(licence)]
