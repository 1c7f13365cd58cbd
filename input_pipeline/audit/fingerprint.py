"""Fingerprints that survive re-encoding of an image, and a search for near ones without comparing all pairs.

The first is a pHash (C. Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010) of 128 bits:
faces that are cropped alike resemble each other more than photos do, and 64 bits cannot tell them apart (two of 900
different ones differ in 6 bits, as many copies do). The second, ours, is the coarse layout of the colours, which two
faces of one pose and haircut rarely share.
"""

from collections.abc import Iterator

import numpy as np
from PIL import Image
from scipy.fft import dctn

_SIDE, _BITS, _BANDS = 32, 128, 8
_GRID = 4  # colours are averaged over 4 x 4 cells
_COLOURLESS = 2.0  # root mean square, on the scale to 255: below it, an image is compared by its hash alone
_RELIT = 1.7  # maximum factor by which a copy may be lighter or darker
_CHUNK = 1 << 21  # pairs compared at a time, 32 MiB for each operand


def _low_frequencies() -> np.ndarray:
    """Return the positions in the flat [32, 32] spectrum of the 128 lowest frequencies, without the mean."""
    y, x = np.divmod(np.arange(_SIDE * _SIDE), _SIDE)
    return np.argsort(x * x + y * y, kind="stable")[1 : _BITS + 1]


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
