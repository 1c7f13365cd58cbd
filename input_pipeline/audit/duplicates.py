"""Detect duplicate faces in a data set, above all across its splits.

Measured on 900 aligned faces without duplicates, against modified copies of themselves. Found: JPEG quality 50 and 20,
a third of the size, 25 % darker with less contrast, grey, or mirrored with JPEG quality 50: all; 25 % brighter, so
that much is clipped: 94 %; 2 % cropped off the borders: 83 %, then half the size and JPEG quality 40: 84 %; rotated by
2 degrees: 69 %; 4 % cropped off: 4 %. Two different faces were never nearer than 36 (404,550 pairs), twice the limit:
there were no false positives, nor among 3000 procedural faces.

Faces are compared by two fingerprints that survive re-encoding. The first is a pHash (C. Zauner, Implementation and
Benchmarking of Perceptual Image Hash Functions, 2010) of 128 bits: faces that are cropped alike resemble each other
more than photos do, and 64 bits cannot tell them apart (two of 900 different ones differ in 6 bits, as many copies
do). The second, ours, is the coarse layout of the colours, which two faces of one pose and haircut rarely share.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.fft import dctn

LIMIT = 18.0
"""Maximum distance of two copies: differing bits of 128 in their hashes, plus twice their `colour_difference`."""

_MOST_BITS, _COLOUR_WEIGHT = 14, 2.0
_SIDE, _HASH_BITS, _BANDS = 32, 128, 8
_GRID = 4  # colours are averaged over 4 x 4 cells
_COLOURLESS = 2.0  # root mean square, on the scale to 255: below it, an image is compared by its hash alone
_RELIT = 1.7  # maximum factor by which a copy may be lighter or darker
_CHUNK = 1 << 21  # pairs compared at a time, 32 MiB for each operand


class Copy(NamedTuple):
    """A face that shows the same photo as an earlier face.

    Attributes:
      index: index of the face.
      of: index of the earlier face, `of < index`.
      distance: 0..LIMIT.
      same: the pixels are equal.
      mirrored: one is the mirror image of the other.
    """

    index: int
    of: int
    distance: float
    same: bool
    mirrored: bool


def copies(stats: np.ndarray, split: np.ndarray) -> list[Copy]:
    """Find every face that shows the same photo as an earlier face: for each split, the nearest one in it.

    Faces of equal pixels, and those of equal hashes, are represented in each split by the first of them: a photo that
    occurs a thousand times is reported a thousand times and not half a million times.

    Args:
      stats: records [N] with the fields `digest`, `hash`, `mirrored_hash` and `colours` of `scan.row_dtype`.
      split: int [N], the split of each face, ascending.

    Returns:
      The copies, sorted by (index, split of the earlier face).
    """
    pictures, equal = _firsts(np.arange(len(stats)), stats["digest"], split)
    hashes, alike = _firsts(pictures, stats["hash"][pictures], split[pictures])
    found = [Copy(int(j), int(i), 0.0, True, False) for i, j in equal]
    found += _near(stats, alike, np.zeros(len(alike)), mirrored=False)
    for field in ("hash", "mirrored_hash"):
        i, j, bits = near_pairs(stats["hash"][hashes], stats[field][hashes], _MOST_BITS).T
        others = i != j  # symmetric faces resemble their own mirror images
        pairs = np.stack([hashes[i[others]], hashes[j[others]]], axis=1)
        found += _near(stats, np.sort(pairs, axis=1), bits[others], mirrored=field == "mirrored_hash")
    return _nearest(found, split)


def _firsts(faces: np.ndarray, keys: np.ndarray, split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the first face of each key in each split, and every pair (such a face, a later one of its key).

    Args:
      faces: int [N], ascending.
      keys: [N, 2], of each face.
      split: int [N], of each face.

    Returns:
      faces [M], ascending, and pairs [P, 2].
    """
    _, key = np.unique(keys, axis=0, return_inverse=True)
    firsts, pairs = [np.zeros(0, np.int64)], [np.zeros((0, 2), np.int64)]
    for value in np.unique(split):
        here = np.flatnonzero(split == value)
        known, place = np.unique(key[here], return_index=True)
        first = np.full(key.max() + 1, len(faces))
        first[known] = here[place]
        later = np.flatnonzero(first[key] < np.arange(len(faces)))
        firsts.append(here[place])
        pairs.append(np.stack([first[key[later]], later], axis=1))
    return faces[np.sort(np.concatenate(firsts))], faces[np.concatenate(pairs)]


def _near(stats: np.ndarray, pairs: np.ndarray, bits: np.ndarray, *, mirrored: bool) -> Iterator[Copy]:
    """Yield the pairs (earlier, later) of [P, 2] that are near by their hashes and by their colours."""
    first, second = stats["colours"][pairs].swapaxes(0, 1)
    distance = bits + _COLOUR_WEIGHT * colour_difference(first, second[:, :, ::-1] if mirrored else second)
    for k in np.flatnonzero(distance <= LIMIT):
        yield Copy(int(pairs[k, 1]), int(pairs[k, 0]), float(distance[k]), False, mirrored)


def _nearest(found: Iterable[Copy], split: np.ndarray) -> list[Copy]:
    best: dict[tuple[int, int], Copy] = {}
    for copy in sorted(found, key=lambda copy: (not copy.same, copy.distance, copy.of)):
        best.setdefault((copy.index, int(split[copy.of])), copy)
    return [best[key] for key in sorted(best)]


def _low_frequencies() -> np.ndarray:
    """Return the positions in the flat [32, 32] spectrum of the 128 lowest frequencies, without the mean."""
    y, x = np.divmod(np.arange(_SIDE * _SIDE), _SIDE)
    return np.argsort(x * x + y * y, kind="stable")[1 : _HASH_BITS + 1]


_FREQUENCIES = _low_frequencies()


def perceptual_hash(image: np.ndarray) -> np.ndarray:
    """Compute a hash of 128 bits that hardly changes when an image is resized, recompressed or relit.

    Bit k says whether the k-th lowest frequency of the grey image at 32 x 32 lies above the median of the 128.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      uint64 [2].
    """
    grey = Image.fromarray(image).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    spectrum = dctn(np.asarray(grey, np.float64), norm="ortho").ravel()[_FREQUENCIES]
    spectrum = spectrum.round(3)  # a plain image has no frequencies except rounding errors of both signs
    # Neighbouring frequencies are alike; spreading them over the bands of `near_pairs` balances its buckets.
    bits = (spectrum > np.median(spectrum)).reshape(-1, _BANDS).T
    return np.packbits(bits, bitorder="little").view(np.uint64)


def colours(image: np.ndarray) -> np.ndarray:
    """Compute the mean colours, without the brightness, of 4 x 4 cells.

    Args:
      image: uint8 [H, W, 3].

    Returns:
      int16 [4, 4, 2], R - Y and B - Y of each cell.
    """
    fields = Image.fromarray(image).resize((_GRID, _GRID), Image.Resampling.BOX)
    red, green, blue = np.moveaxis(np.asarray(fields, np.float64), -1, 0)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue  # ITU-R BT.601
    return np.stack([red - luma, blue - luma], axis=-1).round().astype(np.int16)


def colour_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Compute how much the colours of two images differ, apart from one being lighter than the other.

    Args:
      first, second: int16 [P, 4, 4, 2], from `colours`.

    Returns:
      float64 [P], root mean square, on the scale to 255, in the more colourful image; 0 if the other has hardly any
      colour and may be a grey copy.
    """
    a, b = first.astype(np.float64), second.astype(np.float64)
    weaker = np.square(a).sum(axis=(1, 2, 3)) < np.square(b).sum(axis=(1, 2, 3))
    a, b = (np.where(weaker[:, None, None, None], x, y) for x, y in ((b, a), (a, b)))
    energy = np.square(b).mean(axis=(1, 2, 3))
    # An image that was made lighter or darker has its colours multiplied: the best such factor is allowed for.
    factor = np.clip((a * b).mean(axis=(1, 2, 3)) / np.maximum(energy, 1e-9), 1, _RELIT)
    difference = np.sqrt(np.square(a - factor[:, None, None, None] * b).mean(axis=(1, 2, 3)))
    return np.where(energy < _COLOURLESS**2, 0, difference)


def near_pairs(first: np.ndarray, second: np.ndarray, limit: int) -> np.ndarray:
    """Return every pair (i, j) with `first[i]` and `second[j]` at most `limit` bits apart.

    Of 8 bands of 16 bits, one differs by at most one bit if two hashes differ by less than 16. So only hashes sharing
    a band, up to one bit, are compared (200,000 hashes distributed as those of faces: 26 s on one core).

    Args:
      first: uint64 [N, 2].
      second: uint64 [M, 2].
      limit: 0..15.

    Returns:
      int64 [P, 3]: i, j and the distance in bits; no pair occurs twice, sorted by (i, j).
    """
    found = [np.zeros((0, 3), np.int64)]
    for i, j in _candidates(first, second):
        distance = np.bitwise_count(first[i] ^ second[j]).sum(axis=1, dtype=np.int64)
        near = distance <= limit
        found.append(np.stack([i[near], j[near], distance[near]], axis=1))
    return np.unique(np.concatenate(found), axis=0)


def _candidates(first: np.ndarray, second: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield pairs (i, j) that share a band up to one bit, in chunks of at most `_CHUNK` (or one i), some repeatedly."""
    flips = np.uint16([0, *(1 << bit for bit in range(16))])
    for a, b in zip(_bands(first), _bands(second), strict=True):
        order = np.argsort(b, kind="stable")
        values = b[order]
        for flip in flips:
            start = np.searchsorted(values, a ^ flip, "left")
            length = np.searchsorted(values, a ^ flip, "right") - start
            yield from _expand(start, length, order)


def _bands(hashes: np.ndarray) -> np.ndarray:
    """Split hashes into bands, uint16 [8, N]."""
    return np.ascontiguousarray(hashes).view(np.uint16).reshape(-1, _BANDS).T


def _expand(start: np.ndarray, length: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (i, order[k]) for every i and start[i] <= k < start[i] + length[i]."""
    end = np.cumsum(length)
    lo = 0
    while lo < len(length):
        before = end[lo - 1] if lo else 0
        hi = max(lo + 1, int(np.searchsorted(end, before + _CHUNK, "right")))
        repeats = length[lo:hi]
        i = np.repeat(np.arange(lo, hi), repeats)
        offset = np.arange(len(i)) - np.repeat(end[lo:hi] - repeats - before, repeats)
        yield i, order[np.repeat(start[lo:hi], repeats) + offset]
        lo = hi
