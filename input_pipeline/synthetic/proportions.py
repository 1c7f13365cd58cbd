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
    jaw_angle: float  # extra half width at the angles of the jaw
    chin_width: float  # 1 = nominal
    cheekbone: float  # extra half width at the cheekbones
    cheek: float  # extra half width at the cheeks
    chin: float  # y of the chin with the mouth closed
    jaw_drop: float  # how far the open mouth lowers the chin
    hairline: float  # y of the hairline in the middle
    peak: float  # how much lower the hairline lies in the middle than over the temples
    eye_x: float
    eye_half: float  # half width
    lid_upper: float  # lid heights over and under the eye line
    lid_lower: float
    crease: float  # height of the lid's fold
    eye_tilt: float  # how much higher the outer corner lies
    iris: float  # radius
    gaze: tuple[float, float]  # shift of the iris
    brow_y: float
    brow_half: float  # half thickness at the inner end
    brow_arch: float
    brow_slant: float  # rise of the outer end, a slope
    brow_length: float  # 1 = nominal
    nose_base: float
    nose_half: float
    nose_height: float  # of the tip over the face
    nose_root: float  # width between the eyes, 1 = nominal
    nose_tip: float  # size of the ball, 1 = nominal
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
    smile = min(max(0.35 + 0.45 * f["smile"] + 0.14 * f["mouth_curve"], -0.7), 1.25)
    lids = 1.0 + 0.26 * f["eye_open"] - 0.1 * max(smile, 0.0)
    lids = max(lids - 2.0 * max(-1.9 - f["eye_open"], 0.0), 0.03)  # the last few in a hundred blink
    gap = max(0.068 * f["mouth_open"], 0.024 * (smile - 0.45))
    gap = gap if gap > 0.004 else 0.0
    man = f["masculinity"]
    nose_base = 0.184 + 0.014 * f["nose_length"]
    mouth_y = nose_base + 0.079 + 0.006 * f["philtrum"]
    eye_half = 0.05 + 0.0048 * f["eye_size"]
    lid = 0.0245 + 0.0018 * f["eye_size"] + 0.004 * f["eye_height"] - 0.0015 * man
    crease = lid + 0.007 + 0.0028 * f["lid_fold"]
    return Proportions(
        width=1.0 + 0.045 * f["face_width"],
        jaw=1.0 + 0.04 * f["jaw_width"] + 0.05 * man,
        jaw_angle=0.011 * f["jaw_angle"] + 0.004 * man,
        chin_width=1.0 + 0.13 * f["chin_width"] + 0.05 * man,
        cheekbone=0.005 * f["cheekbones"],
        cheek=0.008 * f["cheek_fullness"] + 0.006 * max(smile, 0.0),
        chin=mouth_y + 0.145 + 0.014 * f["chin_length"] + 0.008 * man,
        jaw_drop=0.55 * gap,
        hairline=-0.262 - 0.022 * f["forehead_height"] - 0.012 * max(f["age"], 0.0) * (1.0 + man),
        peak=0.014 * f["hairline_shape"],
        eye_x=max(0.117 + 0.0075 * f["eye_spacing"], eye_half + 0.036),
        eye_half=eye_half,
        lid_upper=lid * lids,
        lid_lower=(0.0135 + 0.001 * f["eye_size"] + 0.0016 * f["eye_height"]) * min(lids, 1.1),
        crease=crease,
        eye_tilt=0.002 + 0.0058 * f["eye_tilt"],
        iris=0.0232 + 0.0009 * f["eye_size"],
        gaze=(0.0075 * f["gaze_x"], 0.0032 * f["gaze_y"]),
        brow_y=min(-0.068 - 0.0085 * f["brow_height"] - 0.007 * f["brow_raise"] + 0.004 * man, -0.02 - crease),
        brow_half=max(0.0125 + 0.0042 * f["brow_thickness"] + 0.0026 * man, 0.004),
        brow_arch=0.012 + 0.0075 * f["brow_arch"] + 0.003 * f["brow_raise"] - 0.005 * man,
        brow_slant=0.06 * f["brow_slant"],
        brow_length=1.0 + 0.09 * f["brow_length"],
        nose_base=nose_base,
        nose_half=0.069 + 0.0095 * f["nose_width"] + 0.003 * man,
        nose_height=0.062 + 0.013 * f["nose_bridge"],
        nose_root=1.0 + 0.16 * f["nose_root"],
        nose_tip=1.0 + 0.13 * f["nose_tip"],
        mouth_y=mouth_y,
        mouth_half=0.094 + 0.0095 * f["mouth_width"] + 0.012 * smile - 0.004 * f["mouth_open"],
        mouth_gap=gap,
        smile=smile,
        upper_lip=max(0.0265 + 0.007 * f["upper_lip"] - 0.003 * man - 0.003 * max(smile, 0.0), 0.01),
        lower_lip=max(0.039 + 0.0075 * f["lower_lip"] - 0.003 * man - 0.003 * max(smile, 0.0), 0.018),
        ear=1.0 + 0.13 * f["ear_size"],
        ear_angle=0.036 + 0.008 * f["ear_angle"],
    )
