"""Measures of one face in head coordinates, from its factors.

The nominal values are medians over aligned portraits (eyes at 0.47 of the height, pupils 0.117 off the middle).
"""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class Proportions:
    """Lengths in image sides; y grows downwards from the eye line."""

    width: float  # of the head, 1 = nominal
    jaw: float  # width of the lower face, 1 = nominal
    cheek: float  # extra half width at the cheeks
    chin: float  # y of the chin with the mouth closed
    jaw_drop: float  # how far the open mouth lowers the chin
    hairline: float  # y of the hairline in the middle
    eye_x: float
    eye_half: float  # half width
    lid_upper: float  # lid heights over and under the eye line
    lid_lower: float
    eye_tilt: float  # how much higher the outer corner lies
    iris: float  # radius
    gaze: tuple[float, float]  # shift of the iris
    brow_y: float
    brow_half: float  # half thickness at the inner end
    brow_arch: float
    nose_base: float
    nose_half: float
    nose_height: float  # of the tip over the face
    mouth_y: float
    mouth_half: float
    mouth_gap: float  # between the lips, 0 = closed
    smile: float  # raise of the mouth corners, about 0..1
    upper_lip: float  # thickness
    lower_lip: float
    ear: float  # size, 1 = nominal
    ear_angle: float


def measure(f: Mapping[str, float]) -> Proportions:
    """Return the proportions of the given factors."""
    smile = min(max(0.35 + 0.45 * f["smile"], -0.5), 1.25)
    lids = 1.0 + 0.26 * f["eye_open"] - 0.1 * max(smile, 0.0)
    lids = max(lids - 2.0 * max(-1.9 - f["eye_open"], 0.0), 0.03)  # the last few in a hundred blink
    gap = max(0.068 * f["mouth_open"], 0.024 * (smile - 0.45))
    gap = gap if gap > 0.004 else 0.0
    man = f["masculinity"]
    nose_base = 0.184 + 0.010 * f["nose_length"]
    return Proportions(
        width=1.0 + 0.032 * f["face_width"],
        jaw=1.0 + 0.03 * f["jaw_width"] + 0.05 * man,
        cheek=0.006 * f["cheek_fullness"] + 0.006 * max(smile, 0.0),
        chin=0.408 + 0.013 * f["chin_length"] + 0.008 * man,
        jaw_drop=0.55 * gap,
        hairline=-0.262 - 0.016 * f["forehead_height"] - 0.012 * max(f["age"], 0.0) * (1.0 + man),
        eye_x=0.117 + 0.0045 * f["eye_spacing"],
        eye_half=0.05 + 0.0028 * f["eye_size"],
        lid_upper=(0.0245 + 0.0022 * f["eye_size"] - 0.0015 * man) * lids,
        lid_lower=(0.0135 + 0.001 * f["eye_size"]) * min(lids, 1.1),
        eye_tilt=0.002 + 0.003 * f["eye_tilt"],
        iris=0.0232 + 0.0006 * f["eye_size"],
        gaze=(0.0075 * f["gaze_x"], 0.0032 * f["gaze_y"]),
        brow_y=-0.068 - 0.005 * f["brow_height"] - 0.007 * f["brow_raise"] + 0.004 * man,
        brow_half=0.0125 + 0.002 * f["brow_thickness"] + 0.0026 * man,
        brow_arch=0.012 + 0.004 * f["brow_arch"] + 0.003 * f["brow_raise"] - 0.005 * man,
        nose_base=nose_base,
        nose_half=0.069 + 0.005 * f["nose_width"] + 0.003 * man,
        nose_height=0.062 + 0.008 * f["nose_bridge"],
        mouth_y=nose_base + 0.079 + 0.002 * f["chin_length"],
        mouth_half=0.094 + 0.005 * f["mouth_width"] + 0.012 * smile - 0.004 * f["mouth_open"],
        mouth_gap=gap,
        smile=smile,
        upper_lip=0.0265 + 0.004 * f["upper_lip"] - 0.003 * man - 0.003 * max(smile, 0.0),
        lower_lip=0.039 + 0.0045 * f["lower_lip"] - 0.003 * man - 0.003 * max(smile, 0.0),
        ear=1.0 + 0.08 * f["ear_size"],
        ear_angle=0.036 + 0.006 * f["ear_angle"],
    )
