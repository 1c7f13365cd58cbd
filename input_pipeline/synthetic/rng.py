"""Counter-based random numbers: every value is a pure function of (key, position).

SplitMix64 (Steele, Lea and Flood 2014) on unsigned 64-bit integers: the same bits on every platform, in any order,
in any process. There is no state to carry and no global generator.
"""

import zlib

import numpy as np

_GAMMA = 0x9E3779B97F4A7C15
_MIX = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))
_MASK = (1 << 64) - 1


def fold(key: int, *parts: int | str) -> int:
    """Derive a new 64-bit key from `key` and some integers or words (words enter as their crc32)."""
    for part in parts:
        number = zlib.crc32(part.encode()) if isinstance(part, str) else part
        key = _mix((key ^ _mix((number + _GAMMA) & _MASK)) & _MASK)
    return key & _MASK


def words(key: int, count: int) -> np.ndarray:
    """Return outputs 1..count of SplitMix64 seeded with `key`: uint64 [count]."""
    z = np.arange(1, count + 1, dtype=np.uint64)
    z *= np.uint64(_GAMMA)
    z += np.uint64(key & _MASK)
    for shift, factor in _MIX:
        z ^= z >> np.uint64(shift)
        z *= np.uint64(factor)
    z ^= z >> np.uint64(31)
    return z


def uniforms(key: int, count: int) -> np.ndarray:
    """Return float64 [count], uniform on [0, 1) with 53 bits."""
    return (words(key, count) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normals(key: int, count: int) -> np.ndarray:
    """Return float64 [count]: mean 0, variance 1, within ±3.47 (the sum of four 16-bit uniforms, exact integers)."""
    z = words(key, count)
    total = np.zeros(count, np.uint64)
    for shift in (0, 16, 32, 48):
        total += (z >> np.uint64(shift)) & np.uint64(0xFFFF)
    # Four uniforms on 0..65535: mean 131070, variance (2^32 - 1) / 3.
    return (total.astype(np.float64) - 131070.0) * (1.7320508075688772 / 65536.0)


def grain(key: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return float32 `shape`: like `normals` from four 8-bit uniforms, at half a word a value, for pixel noise."""
    count = int(np.prod(shape))
    quads = words(key, (count + 1) // 2).astype("<u8", copy=False).view(np.uint8).reshape(-1, 4)
    total = quads[:, 0].astype(np.int16)
    for k in (1, 2, 3):
        total += quads[:, k]
    return ((total[:count] - np.int16(510)).astype(np.float32) * np.float32(1.7320508 / 256.0)).reshape(shape)


def _mix(z: int) -> int:
    for shift, factor in _MIX:
        z = ((z ^ (z >> shift)) * factor) & _MASK
    return z ^ (z >> 31)
