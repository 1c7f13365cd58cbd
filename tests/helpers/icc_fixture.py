"""ICC profiles written by hand, and what their numbers mean in float64: colours whose sRGB values are known."""

import struct
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

D50 = np.array([0.96422, 1.0, 0.82521])
D65_XY = (0.3127, 0.3290)
SRGB_XY = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


class Space(NamedTuple):
    """An RGB space with the white of D65.

    Attributes:
      xy: chromaticities of red, green and blue.
      curve: the ICC tag of its tone curve.
      linear: float64 values 0..1 -> light 0..1, the same curve.
    """

    xy: tuple[tuple[float, float], ...]
    curve: bytes
    linear: Callable[[np.ndarray], np.ndarray]


def srgb_linear(v: np.ndarray) -> np.ndarray:
    """IEC 61966-2-1."""
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def srgb_encoded(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * np.maximum(light, 0) ** (1 / 2.4) - 0.055)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def gamma_curve(gamma: float) -> bytes:
    """`curv` of one entry, an exponent in 8.8 bits."""
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256))


def table_curve(linear: Callable[[np.ndarray], np.ndarray], entries: int = 1024) -> bytes:
    """`curv` of many entries, as in the widespread sRGB profile."""
    table = np.round(linear(np.linspace(0, 1, entries)) * 65535).astype(">u2")
    return b"curv" + bytes(4) + struct.pack(">I", entries) + table.tobytes()


SRGB_CURVE = b"para" + bytes(4) + struct.pack(">HH", 3, 0) + _fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
P3 = Space(((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)), SRGB_CURVE, srgb_linear)
ADOBE_RGB = Space(((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), gamma_curve(563 / 256), lambda v: v ** (563 / 256))
SRGB = Space(SRGB_XY, table_curve(srgb_linear), srgb_linear)


def to_xyz(xy: tuple[tuple[float, float], ...]) -> np.ndarray:
    """float64 [3, 3] from linear RGB to XYZ with the white of D65 at Y = 1."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (*xy, D65_XY)]).T
    primaries, white = columns[:, :3], columns[:, 3]
    return primaries * np.linalg.solve(primaries, white)


def seen(space: Space, pixels: np.ndarray) -> np.ndarray:
    """float64 sRGB levels 0..255 of uint8 pixels [..., 3] of a space; colours out of reach are clipped."""
    light = space.linear(pixels / 255) @ (np.linalg.inv(to_xyz(SRGB_XY)) @ to_xyz(space.xy)).T
    return 255 * srgb_encoded(light.clip(0, 1))


def rgb_profile(space: Space, *, version: int = 2) -> bytes:
    """A matrix profile (mntr) of version 2 or 4; colorants are adapted to D50 by Bradford's transform, as ICC wants."""
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    x, y = D65_XY
    ratio = (bradford @ D50) / (bradford @ [x / y, 1, (1 - x - y) / y])
    colorants = np.linalg.inv(bradford) @ np.diag(ratio) @ bradford @ to_xyz(space.xy)
    tags = {f"{c}XYZ": b"XYZ " + bytes(4) + _fixed(*colorants[:, k]) for k, c in enumerate("rgb")}
    return profile(b"RGB ", tags | {f"{c}TRC": space.curve for c in "rgb"}, version=version)


def grey_profile(curve: bytes) -> bytes:
    """A profile of grey with a tone curve."""
    return profile(b"GRAY", {"kTRC": curve})


def cmyk_profile(lab: np.ndarray) -> bytes:
    """A printing profile (lut8) whose table has two steps an ink.

    Args:
      lab: [2, 2, 2, 2, 3] L* 0..100, a* and b* of no, one ... all inks; in between everything is linear.
    """
    coded = np.round(lab * [2.55, 1, 1] + [0, 128, 128]).astype(np.uint8)
    ramp = bytes(range(256))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + _fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    return profile(b"CMYK", {"A2B0": table + ramp * 4 + coded.tobytes() + ramp * 3}, device=b"prtr", pcs=b"Lab ")


def profile(
    space: bytes, tags: Mapping[str, bytes], *, version: int = 2, device: bytes = b"mntr", pcs: bytes = b"XYZ "
) -> bytes:
    """A profile of the given tags, with the white point and names that every profile has."""
    text = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(78)
    if version == 4:
        text = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 8, 28) + "test".encode("utf-16-be")
    white = b"XYZ " + bytes(4) + _fixed(*D50)
    named = {"desc": text, "cprt": text if version == 4 else b"text" + bytes(4) + b"none\0", "wtpt": white, **tags}
    table, body, place = b"", b"", 132 + 12 * len(named)
    for name, content in named.items():
        table += name.encode() + struct.pack(">II", place + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s12s4s", size, bytes(4), version << 24, device, space, pcs, bytes(12), b"acsp")
    head += bytes(28) + _fixed(*D50) + bytes(48)
    return head + struct.pack(">I", len(named)) + table + body
