"""Contours of the hair: what hangs behind, the cap over the skull, locks in front of the ears, the fringe."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.curves import directions, ellipse, ribbon
from input_pipeline.synthetic.pose import RIM, SURFACE
from input_pipeline.synthetic.proportions import Proportions
from input_pipeline.synthetic.sketch import Sketch

_CROWN = np.linspace(100.0, -100.0, 41)  # angles from the top, image right to image left
_CROWN_SIN, _CROWN_COS = directions(_CROWN)


@dataclasses.dataclass(frozen=True)
class Style:
    """A hair style.

    Attributes:
      end: y of the tips; below 0.1 the hair is short and the ears are free.
      volume: distance from the skull, image sides.
      curl: 0 straight .. 1 tight curls.
      parting: x of the parting.
      covered: which sides have hair in front of the ear, (image right, image left).
      fringe: y of its lower edge, None without one.
      pressed: a hat flattens it.
    """

    end: float
    volume: float
    curl: float
    parting: float
    covered: tuple[bool, bool]
    fringe: float | None
    pressed: bool


def style(f: Mapping[str, float], p: Proportions) -> Style:
    """Return the hair style of the given factors."""
    length = 0.54 + 0.47 * f["hair_length"] + 0.06 * f["hair_growth"] - 0.12 * f["masculinity"]
    long = length > 0.42
    end = 0.16 + 0.85 * (length - 0.42) if long else 0.02 + 0.1 * max(length, 0.0)
    curl = max(f["hair_curl"] - 0.1, 0.0) / 0.9
    volume = 0.05 + 0.014 * f["hair_volume"] + 0.03 * curl + (0.012 if long else 0.02 * max(length, 0.0))
    tuck = f["hair_tuck"]
    return Style(
        end=end,
        volume=max(volume, 0.016) * (0.45 if f["hat"] > 0 else 1.0),
        curl=curl,
        parting=0.1 * f["hair_parting"],
        covered=(long and tuck < 0.35, long and tuck < -0.05),
        fringe=p.hairline + 0.06 + 0.17 * f["fringe"] + 0.01 * f["hair_growth"] if f["fringe"] > 0 else None,
        pressed=f["hat"] > 0,
    )


def sketch_hair(sketch: Sketch, p: Proportions, s: Style, key: int) -> None:
    """Add `hair_back`, `hair_cap`, `hair_locks` and `hair_fringe`, as the style has them."""
    noise = rng.uniforms(rng.fold(key, "hair"), 256) - 0.5
    crown, hairline = _crown(p, s, noise), _hairline(p, s)
    sketch.ring("hair_cap", np.concatenate([crown, hairline]), RIM)
    for root, strand in zip(hairline[hairline[:, 1] < -0.15], noise[236:], strict=False):
        sketch.ring("hair_cap", _wisp(root, s, float(strand)), RIM)
    sketch.anchor("crown", (s.parting, -0.41 - s.volume, 0.0), RIM)
    if s.end > 0.1 and s.fringe is None:
        line = [(s.parting, p.hairline - 0.005, 0.16), (s.parting, -0.34, 0.12), (0.8 * s.parting, -0.415, 0.02)]
        sketch.ring("parting", ribbon(line, [0.005, 0.003, 0.001]), RIM)

    right = _fall(p, s, noise[60:])
    left = _fall(p, s, noise[100:])[::-1] * (-1.0, 1.0, 1.0)
    tips = np.linspace(0.85, -0.85, 9)[:, None] * (right[-1] * (1.0, 0.0, 0.0)) + np.stack(
        [np.zeros(9), s.end + 0.035 * noise[150:159], np.full(9, -0.1)], axis=1
    )
    sketch.ring("hair_back", np.concatenate([crown[4:-4][::-1], right, tips, left]), RIM)
    if not s.pressed:
        _curls(sketch, "hair_cap", crown[1:-1:2], s, noise[30:])
    if s.end > 0.1:
        _curls(sketch, "hair_back", np.concatenate([right[1:], left[:-1]]), s, noise[70:])
    for covered, side, part in zip(s.covered, (1, -1), (noise[160:], noise[200:]), strict=True):
        if covered:
            lock = _lock(p, s, part)
            sketch.ring("hair_locks", lock, RIM, side)
            _curls(sketch, "hair_locks", lock[-9:], s, part[30:], side)
    if s.fringe is not None:
        sketch.ring("hair_fringe", _fringe(p, s, noise[220:]), SURFACE)


def _waves(noise: np.ndarray, count: int) -> np.ndarray:
    """Return a slowly varying outline, about -1..1."""
    return 2.0 * np.repeat(noise[: count // 4 + 1], 4)[:count]


def _curls(sketch: Sketch, part: str, edge: np.ndarray, s: Style, noise: np.ndarray, side: int = 1) -> None:
    """Add round locks along an outline."""
    if s.curl < 0.2:
        return
    for (x, y, z), chance in zip(edge, noise, strict=False):
        r = (0.014 + 0.03 * s.curl) * (1.0 + 1.1 * float(chance))
        sketch.ring(part, ellipse(x, y, r, r, z), RIM, side)


def _crown(p: Proportions, s: Style, noise: np.ndarray) -> np.ndarray:
    """Return the outline of the hair over the skull, from the image-right temple to the left one."""
    stand = s.volume + 0.006 * _waves(noise, len(_CROWN))
    if s.end < 0.1:
        # Short hair is cropped at the sides and combed up, higher over the parting.
        side = np.clip((np.abs(_CROWN) - 35.0) / 65.0, 0.0, 1.0)
        lift = np.maximum(_CROWN_COS + 4.0 * s.parting * _CROWN_SIN - 0.35, 0.0)
        stand = stand * (1.0 - 0.62 * side) + 0.55 * s.volume * lift
    # A head seen from the front is squarer than an ellipse.
    radius = (1.0 + stand / 0.29) * (1.0 + 0.2 * np.square(_CROWN_SIN * _CROWN_COS))
    return np.stack([0.25 * p.width * radius * _CROWN_SIN, -0.09 - 0.302 * radius * _CROWN_COS, 0.0 * radius], axis=1)


def _wisp(root: np.ndarray, s: Style, noise: float) -> np.ndarray:
    """Return a strand that breaks the hairline, combed away from the parting."""
    away = 0.03 * (1.0 if root[0] > s.parting else -1.0)
    length = 0.035 + 0.04 * noise
    half = [(-0.014, -0.03, 0.0), (0.35 * away - 0.006, 0.3 * length, 0.0), (away, length, 0.0)]
    return root + np.array([*half, (0.35 * away + 0.006, 0.3 * length, 0.0), (0.014, -0.03, 0.0)])


def _hairline(p: Proportions, s: Style) -> np.ndarray:
    """Return the hairline from the image-left sideburn over the forehead to the right one (RIM coordinates)."""
    w, top = p.width, p.hairline
    swept = 1.0 if s.end > 0.1 else 0.0  # long hair falls over the temples from the parting
    x = np.array([0.262, 0.243, 0.238, 0.229, 0.213, 0.172, 0.088])
    y = np.array([0.045, 0.05, -0.03, -0.105, -0.17, -0.226, -0.256])
    x = x - swept * np.array([0.0, 0.004, 0.008, 0.012, 0.014, 0.012, 0.004])
    y = (
        y
        - p.peak * np.array([0.0, 0.0, 0.0, 0.3, 0.9, 1.2, 0.4])
        + (top + 0.262) * np.array([0.0, 0.0, 0.0, 0.2, 0.6, 0.9, 1.0])
    )
    depth = np.array([-0.02, 0.02, 0.04, 0.075, 0.1, 0.13, 0.15])
    right = np.stack([x * w, y, depth], axis=1)
    left = right * (-1.0, 1.0, 1.0)
    middle = np.array([[s.parting, top - 0.012 * swept + 0.8 * p.peak, 0.16]])
    # A side parting pulls the hairline of the wide side down.
    pull = 0.35 * swept * s.parting
    right[4:, 1] -= pull * np.array([0.5, 0.8, 0.6])
    left[4:, 1] += pull * np.array([0.5, 0.8, 0.6])
    keep_left, keep_right = left[:, 0] < s.parting - 0.02, right[:, 0] > s.parting + 0.02
    return np.concatenate([left[keep_left], middle, right[keep_right][::-1]])


def _fall(p: Proportions, s: Style, noise: np.ndarray) -> np.ndarray:
    """Return the outer edge of the hanging hair on the image-right side, from the temple to the tips."""
    steps = np.linspace(0.0, 1.0, 9)
    y = -0.03 + (s.end + 0.03) * steps
    if s.end < 0.1:
        width = 0.25 * p.width + 0.3 * s.volume - 0.06 * steps
    else:
        width = 0.254 * p.width + 0.75 * s.volume + (0.09 + 0.06 * s.curl) * steps * s.end
    wave = (0.006 if s.end > 0.1 else 0.0) * _waves(noise, 9)
    return np.stack([width + wave, y, np.full(9, -0.08)], axis=1)


def _lock(p: Proportions, s: Style, noise: np.ndarray) -> np.ndarray:
    """Return a curtain of hair from the temple down over the ear, image-right side."""
    steps = np.linspace(0.0, 1.0, 10)
    end = s.end + 0.03 * noise[0]
    y = -0.24 + (end + 0.24) * steps
    outer = 0.254 * p.width + 0.75 * s.volume - 0.06 * np.maximum(0.3 - steps, 0.0) / 0.3
    outer = outer + (0.05 + 0.05 * s.curl) * steps * s.end + 0.005 * _waves(noise, 10)
    jaw_gap = np.maximum(1.0 - np.square((y - 0.03) / 0.2), 0.0)
    inner = (0.2 + 0.044 * jaw_gap) * p.width - 0.004 + 0.02 * noise[1] + (0.004 + 0.02 * s.curl) * noise[12:22]
    inner = np.minimum(inner, outer - 0.02)
    down = np.stack([inner, y, np.full(10, 0.03)], axis=1)
    up = np.stack([outer, y, np.full(10, -0.02)], axis=1)[::-1]
    across = inner[-1] + (outer[-1] - inner[-1]) * np.array([0.2, 0.4, 0.6, 0.85])
    tips = np.stack([across, end + np.array([0.05, 0.012, 0.06, 0.01]) + 0.02 * noise[22:26], np.zeros(4)], axis=1)
    return np.concatenate([down, tips, up])


def _fringe(p: Proportions, s: Style, noise: np.ndarray) -> np.ndarray:
    """Return the fringe over the forehead: jagged strands, longer at the temples."""
    along = np.linspace(-1.0, 1.0, 17)
    x = 0.228 * p.width * along
    teeth = np.where(np.arange(17) % 2 == 0, 0.3, -0.3) + 1.8 * noise[:17]
    slope = -1.2 * s.parting * along * 0.2
    lower = s.fringe + 0.045 * along * along + slope + (0.012 + 0.008 * s.curl) * teeth
    upper = np.linspace(1.0, -1.0, 7)
    # Well over the hairline, wherever that lies: a gap between fringe and cap would show skin.
    top = min(p.hairline, -0.25) - 0.05 - abs(p.peak)
    roof = np.stack([0.248 * p.width * upper, top + 0.05 * upper * upper, np.full(7, 0.01)], axis=1)
    return np.concatenate([np.stack([x, lower, np.full(17, 0.022)], axis=1), roof])
