"""Colours and light of one image, in linear light.

Display values are the square root of linear ones (gamma 2): close to sRGB, and exact on every platform.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

Color = tuple[float, float, float]
"""Display red, green, blue, 0..255."""

# Display colours along a scale, light to dark.
_SKIN = (
    (246, 212, 190),
    (238, 196, 166),
    (226, 176, 140),
    (206, 150, 108),
    (164, 112, 78),
    (122, 80, 56),
    (94, 61, 46),
)
_HAIR = ((232, 206, 150), (198, 160, 100), (150, 108, 64), (106, 70, 42), (70, 46, 32), (44, 31, 26), (26, 22, 22))
_GREY_HAIR = (190, 188, 186)
_RED_HAIR = (160, 78, 38)
_IRIS = ((120, 170, 206), (112, 150, 150), (122, 150, 96), (138, 108, 58), (96, 62, 34), (60, 38, 24))
_GOLD, _SILVER = (236, 200, 118), (216, 220, 228)


@dataclasses.dataclass(frozen=True)
class Light:
    """One lamp and ambient light.

    Attributes:
      direction: unit vector towards the lamp (x right, y down, z to the camera).
      key: float32 [3, 1, 1] colour of the lamp.
      ambient: float32 [3, 1, 1] colour of the ambient light.
    """

    direction: Color
    key: np.ndarray
    ambient: np.ndarray


@dataclasses.dataclass(frozen=True)
class Palette:
    """Albedos, float32 [3, 1, 1], linear light."""

    light: Light
    skin: np.ndarray
    flush: np.ndarray  # effect of blood on skin: a multiplier
    shade: np.ndarray  # effect of an occluded fold on skin: a multiplier
    lips: np.ndarray
    hair: np.ndarray
    brow: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    trim: np.ndarray  # collars
    accent: np.ndarray  # hats, frames, objects
    metal: np.ndarray
    backdrop: tuple[np.ndarray, np.ndarray]


def display(red: float, green: float, blue: float) -> np.ndarray:
    """Return the linear float32 [3, 1, 1] of a display colour 0..255."""
    return linear(*((c / 255.0) * (c / 255.0) for c in (red, green, blue)))


def linear(red: float, green: float, blue: float) -> np.ndarray:
    """Return float32 [3, 1, 1] of linear light or a multiplier."""
    return np.array([[[red]], [[green]], [[blue]]], np.float32)


def rouge(f: Mapping[str, float]) -> float:
    """Return the strength of the make-up: 0..1."""
    return f["makeup"] if f["masculinity"] < 0 else 0.0


def from_factors(f: Mapping[str, float]) -> Palette:
    """Return the palette of the given factors."""
    melanin = 0.5 + 0.5 * f["melanin"]
    skin, hair = _skin(f, melanin), _hair(f, melanin)
    brow = _mix(tuple(0.8 * c for c in hair), (52.0, 36.0, 30.0), 0.2)
    brow = tuple((1.0 + 0.14 * f["brow_tone"]) * c for c in brow)
    if f["hair_dye"] > 0:
        hair = _mix(hair, _hue(f["accessory_hue"], 0.75, 225.0), 0.6)
    iris = _between(_IRIS, 0.5 + 0.5 * f["iris_tone"] + 0.9 * melanin)
    rosy = f["lip_tone"]
    bare_lips = ((0.92 + 0.01 * rosy) * skin[0], (0.68 - 0.06 * rosy) * skin[1], (0.66 - 0.04 * rosy) * skin[2])
    tone = 0.5 + 0.5 * f["cloth_tone"]
    cloth = _muted(f["cloth_hue"], 0.62, 60.0 + 170.0 * tone, 0.35)
    room = 0.5 + 0.5 * f["background_tone"]
    first = _muted(f["background_hue"], 0.42, 60.0 + 170.0 * room, 0.45)
    second = _mix(_hue(f["background_hue"] + 0.35, 0.4, 110.0 + 90.0 * room), first, 0.35)
    trim = _mix(cloth, (244.0, 242.0, 236.0), 0.5) if f["cloth_hue"] > 0 else tuple(0.8 * c for c in cloth)
    accent = _mix(_hue(f["accessory_hue"] * 3.0, 0.6, 200.0), (40.0, 38.0, 44.0), 0.45 + 0.4 * f["cloth_tone"])
    return Palette(
        light=_light(f),
        skin=display(*skin),
        flush=linear(1.0, 0.66 + 0.2 * melanin, 0.62 + 0.2 * melanin),
        shade=linear(0.62, 0.44, 0.38),
        lips=display(*_mix(bare_lips, (176.0, 44.0, 58.0), 0.12 + 0.6 * rouge(f))),
        hair=display(*hair),
        brow=display(*brow),
        iris=display(*iris),
        cloth=display(*cloth),
        trim=display(*trim),
        accent=display(*accent),
        metal=display(*(_GOLD if f["accessory_hue"] > -0.2 else _SILVER)),
        backdrop=(display(*first), display(*second)),
    )


def _skin(f: Mapping[str, float], melanin: float) -> Color:
    red, green, blue = _between(_SKIN, melanin)
    warm, rosy = f["skin_warmth"], f["skin_redness"]
    return red + 4.0 * warm, green - 4.0 * rosy, blue - 6.0 * warm - 3.0 * rosy


def _hair(f: Mapping[str, float], melanin: float) -> Color:
    """Return the hair colour: dark skin has dark hair, and age turns it grey."""
    fair = min(2.0 * (1.0 - melanin), 1.0)
    color = _between(_HAIR, 1.0 - (0.5 - 0.5 * f["hair_tone"]) * (0.25 + 0.75 * fair))
    color = _mix(color, _RED_HAIR, min(max(0.6 * f["hair_warmth"] - 0.75, 0.0), 1.0) * fair)
    return _mix(color, _GREY_HAIR, min(max(2.2 * f["age"] - 1.2, 0.0), 1.0))


def _light(f: Mapping[str, float]) -> Light:
    x, y, z = 0.55 * f["light_side"], -0.42 - 0.16 * f["light_height"], 0.85
    length = float(np.sqrt(x * x + y * y + z * z))
    contrast = 0.5 + 0.5 * f["light_contrast"]
    warmth = 0.07 * f["light_warmth"]
    gain = 1.0 + 0.08 * f["exposure"]
    key, fill = gain * (0.74 + 0.26 * contrast), gain * (0.4 - 0.18 * contrast)
    return Light(
        direction=(x / length, y / length, z / length),
        key=linear(key * (1.02 + warmth), key, key * (0.95 - warmth)),
        ambient=linear(fill * (0.97 - 0.5 * warmth), fill, fill * (1.06 + 0.5 * warmth)),
    )


def _mix(first: Color, second: Color, share: float) -> Color:
    return tuple(a + share * (b - a) for a, b in zip(first, second, strict=True))


def _between(colors: Sequence[Color], position: float) -> Color:
    """Interpolate a colour on a scale, position 0..1."""
    at = min(max(position, 0.0), 1.0) * (len(colors) - 1)
    k = min(int(at), len(colors) - 2)
    return _mix(colors[k], colors[k + 1], at - k)


def _hue(turn: float, saturation: float, value: float) -> Color:
    """Return the display colour of a hue (one turn = 2 units, as in factors), saturation 0..1 and value 0..255."""
    ramps = (min(max(abs((3.0 * turn + k) % 6.0 - 3.0) - 1.0, 0.0), 1.0) for k in (0.0, 4.0, 2.0))
    return tuple(value * (1.0 - saturation * (1.0 - ramp)) for ramp in ramps)


def _muted(turn: float, saturation: float, value: float, grey: float) -> Color:
    return _mix(_hue(turn, saturation, value), (value, value, value), grey)
