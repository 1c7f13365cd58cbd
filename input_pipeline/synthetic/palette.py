"""Colours and light of one picture, in linear light.

Display values are the square root of linear ones (gamma 2): close to sRGB, and exact on every platform.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

# Display colours along a scale, light to dark.
_SKIN = ((246, 212, 190), (238, 196, 166), (226, 176, 140), (206, 150, 108), (164, 112, 78), (122, 80, 56), (94, 61, 46))
_HAIR = ((232, 206, 150), (198, 160, 100), (150, 108, 64), (106, 70, 42), (70, 46, 32), (44, 31, 26), (26, 22, 22))
_GREY_HAIR = (190, 188, 186)
_RED_HAIR = (160, 78, 38)
_IRIS = ((120, 170, 206), (112, 150, 150), (122, 150, 96), (138, 108, 58), (96, 62, 34), (60, 38, 24))


@dataclasses.dataclass(frozen=True)
class Light:
    """One lamp and the sky.

    Attributes:
      direction: unit vector towards the lamp (x right, y down, z to the camera).
      key: float32 [3, 1, 1] colour of the lamp.
      ambient: float32 [3, 1, 1] colour of the light from everywhere.
    """

    direction: tuple[float, float, float]
    key: np.ndarray
    ambient: np.ndarray


@dataclasses.dataclass(frozen=True)
class Palette:
    """Albedos, float32 [3, 1, 1], linear light."""

    light: Light
    skin: np.ndarray
    flush: np.ndarray  # what blood does to skin: a multiplier
    shade: np.ndarray  # what an occluded fold does to skin: a multiplier
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
    """Linear float32 [3, 1, 1] of a display colour 0..255."""
    color = np.array([red, green, blue], np.float64) / 255.0
    return (color * color).astype(np.float32)[:, None, None]


def from_factors(f: Mapping[str, float]) -> Palette:
    """The colours of the named factors."""
    melanin = 0.5 + 0.5 * f["melanin"]
    pale = 1.0 - melanin
    skin = _scale(_SKIN, melanin)
    skin = skin + np.array([3.0, 0.0, -4.0]) * f["skin_warmth"]
    dark = 1.0 - (0.5 - 0.5 * f["hair_tone"]) * (0.25 + 0.75 * min(2.0 * pale, 1.0))
    hair = _scale(_HAIR, dark)
    red = min(max(0.6 * f["hair_warmth"] - 0.75, 0.0), 1.0) * min(2.0 * pale, 1.0)
    hair = _mix(hair, _RED_HAIR, red)
    grey = min(max(2.2 * f["age"] - 1.2, 0.0), 1.0)
    hair = _mix(hair, _GREY_HAIR, grey)
    brow = _mix(0.8 * hair, (52, 36, 30), 0.2)
    if f["hair_dye"] > 0:
        hair = 0.55 * hair + 0.55 * _hue(f["accessory_hue"], 0.75, 215.0)
    iris = _scale(_IRIS, min(1.0, 0.5 + 0.5 * f["iris_tone"] + 0.9 * melanin))
    rouge = f["makeup"] if f["masculinity"] < 0 else 0.0
    lips = _mix(skin * np.array([0.92, 0.68, 0.66]), (176, 44, 58), 0.12 + 0.6 * rouge)
    tone = 0.5 + 0.5 * f["cloth_tone"]
    cloth = _mix(_hue(f["cloth_hue"], 0.62, 60.0 + 170.0 * tone), np.full(3, 40.0 + 200.0 * tone), 0.35)
    room = 0.5 + 0.5 * f["background_tone"]
    first = _mix(_hue(f["background_hue"], 0.42, 60.0 + 170.0 * room), np.full(3, 50.0 + 180.0 * room), 0.45)
    second = _mix(_hue(f["background_hue"] + 0.35, 0.4, 110.0 + 90.0 * room), first, 0.35)
    return Palette(
        light=_light(f),
        skin=display(*skin),
        flush=_tint(1.0, 0.66 + 0.2 * melanin, 0.62 + 0.2 * melanin),
        shade=_tint(0.62, 0.44, 0.38),
        lips=display(*lips),
        hair=display(*hair),
        brow=display(*brow),
        iris=display(*iris),
        cloth=display(*cloth),
        trim=display(*_mix(cloth, (244, 242, 236), 0.5 if f["cloth_hue"] > 0 else -0.12)),
        accent=display(*_mix(_hue(f["accessory_hue"] * 3.0, 0.6, 200.0), (40, 38, 44), 0.45 + 0.4 * f["cloth_tone"])),
        metal=display(*((236, 200, 118) if f["accessory_hue"] > -0.2 else (216, 220, 228))),
        backdrop=(display(*first), display(*second)),
    )


def _light(f: Mapping[str, float]) -> Light:
    x, y, z = 0.55 * f["light_side"], -0.42 - 0.16 * f["light_height"], 0.85
    length = np.sqrt(x * x + y * y + z * z)
    contrast = 0.5 + 0.5 * f["light_contrast"]
    warmth = 0.07 * f["light_warmth"]
    gain = 1.0 + 0.08 * f["exposure"]
    key, fill = gain * (0.74 + 0.26 * contrast), gain * (0.4 - 0.18 * contrast)
    return Light(
        direction=(x / length, y / length, z / length),
        key=_tint(key * (1.02 + warmth), key, key * (0.95 - warmth)),
        ambient=_tint(fill * (0.97 - 0.5 * warmth), fill, fill * (1.06 + 0.5 * warmth)),
    )


def _tint(red: float, green: float, blue: float) -> np.ndarray:
    return np.array([red, green, blue], np.float32)[:, None, None]


def _mix(first, second, share: float) -> np.ndarray:
    return np.clip(np.asarray(first) + share * (np.asarray(second) - np.asarray(first)), 0.0, 255.0)


def _scale(colors: Sequence[tuple[int, int, int]], position: float) -> np.ndarray:
    """A colour between the neighbours on a scale, position 0..1."""
    at = min(max(position, 0.0), 1.0) * (len(colors) - 1)
    k = min(int(at), len(colors) - 2)
    return _mix(colors[k], colors[k + 1], at - k)


def _hue(turn: float, saturation: float, value: float) -> np.ndarray:
    """Display colour of a hue (one turn = 2 units, as factors are), saturation 0..1 and value 0..255."""
    position = (0.5 * turn * 6.0 + np.array([0.0, 4.0, 2.0])) % 6.0
    ramp = np.clip(np.abs(position - 3.0) - 1.0, 0.0, 1.0)
    return value * (1.0 - saturation * (1.0 - ramp))
