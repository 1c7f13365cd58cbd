"""Hostile inputs: files that are damaged in a few places, archives with strange members, JSON with strange values."""

import copy
import io
import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence

from hypothesis import strategies as st

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, -1, 7, 10**4, 10**5, 2**31, 2**63, 10**400, 1e308, float("inf"), float("nan")])
    | st.text(max_size=20)
    | st.sampled_from(["../../etc/passwd", "runs/x", "__class__", "celebamask_hq", "a" * 10**5, "\x00", "${seed}"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
"""Values that nobody would write."""
EXTREMES = (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
"""Numbers that a size or an offset may be."""


@st.composite
def damaged(draw: st.DrawFn, samples: Sequence[bytes]) -> bytes:
    """Draw one of `samples` with 1 to 8 places changed."""
    content = bytearray(draw(st.sampled_from(samples)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, max(len(content) - 1, 0)))
        match draw(st.sampled_from(["bits", "length", "cut", "insert", "move"])):
            case "bits":
                content[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "length":  # where a size or an offset may stand
                content[at : at + 4] = draw(st.sampled_from(EXTREMES)).to_bytes(
                    4, draw(st.sampled_from(["little", "big"]))
                )
            case "cut":
                del content[at : at + draw(st.integers(1, len(content) + 1))]
            case "insert":
                content[at:at] = draw(st.binary(max_size=16))
            case "move":
                content[at:at] = content[: draw(st.integers(0, 64))]
    return bytes(content)


@st.composite
def archives(draw: st.DrawFn, samples: Sequence[bytes], member: st.SearchStrategy[bytes] | None = None) -> bytes:
    """Draw one of `samples`, zip files, with members damaged, replaced by `member`, left out, renamed, compressed."""
    written = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(draw(st.sampled_from(samples)))) as archive, zipfile.ZipFile(written, "w") as new:
        names = archive.namelist()
        struck = draw(st.sets(st.sampled_from(names), min_size=1, max_size=2))
        for name in names:
            content, called, method = archive.read(name), name, zipfile.ZIP_STORED
            match draw(st.sampled_from(["damage", "replace", "drop", "rename", "compress"])) if name in struck else "":
                case "damage":
                    content = draw(damaged([content]))
                case "replace" if member is not None:
                    content = draw(member)
                case "drop":
                    continue
                case "rename":
                    called = draw(
                        st.sampled_from(["../" * 8 + "tmp/x", "/x", "a" * 10**4, *names]) | st.text(max_size=9)
                    )
                case "compress":
                    method = zipfile.ZIP_DEFLATED
            new.writestr(zipfile.ZipInfo(called), content, method)
    content = bytearray(written.getvalue())
    if draw(st.booleans()):  # sizes and places in the directory at the end
        at = len(content) - draw(st.integers(4, min(len(content), 200)))
        content[at : at + 4] = draw(st.sampled_from(EXTREMES)).to_bytes(4, "little")
    return bytes(content)


@st.composite
def strange(draw: st.DrawFn, sample: Mapping) -> bytes:
    """Draw the JSON text of `sample` with 1 to 3 values replaced, added or taken out."""
    content = copy.deepcopy(dict(sample))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(content)) or [(content, "")]
        group, key = draw(st.sampled_from(places))
        match draw(st.sampled_from(["replace", "replace", "add", "remove"])):
            case "replace":
                group[key] = draw(JSON)
            case "add" if isinstance(group, dict):
                group[draw(st.text(max_size=8))] = draw(JSON)
            case "remove" if len(places) > 1:
                del group[key]
    text = json.dumps(content)
    if draw(st.integers(0, 19)) == 0:  # nested deeper than a parser can go
        text = "[" * 10**5 + text
    return text.encode()


@st.composite
def enlarged(draw: st.DrawFn, samples: Sequence[Mapping]) -> bytes:
    """Draw the JSON text of one of `samples` with 1 or 2 whole numbers of its network changed, mostly to large ones."""
    content = copy.deepcopy(draw(st.sampled_from(samples)))
    numbers = [(group, key) for group, key in _places(content["config"]["model"]) if type(group[key]) is int]
    for _ in range(draw(st.integers(1, 2))):
        group, key = draw(st.sampled_from(numbers))
        group[key] = draw(st.sampled_from([0, -1, 3, 1000, 10**4, 10**5, 10**7, 6 * 10**9, 2**63, 10**30]))
    return json.dumps(content).encode()


def _places(content: object) -> Iterator[tuple[dict | list, object]]:
    for key, value in content.items() if isinstance(content, dict) else enumerate(content):
        yield content, key
        if isinstance(value, dict | list):
            yield from _places(value)
