"""Factors of a face: identity factors (the person) and attribute factors (how this image shows the person).

Both are drawn from separate streams, so any identity can be combined with any attributes. A factor is a named number
of roughly unit scale; the drawing code asks for it by name.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from input_pipeline.synthetic import rng

# Distribution of a factor: `normal` N(0, 1) cut at ±2.5; `uniform` on [-1, 1]; a number p: 0 with probability 1 - p,
# else a strength on (0.25, 1].
_IDENTITY: Mapping[str, str | float] = {
    "masculinity": "uniform",
    "age": "uniform",
    "melanin": "uniform",
    "skin_warmth": "normal",
    "skin_redness": "normal",
    "freckles": 0.2,
    "mole": 0.35,
    "mole_x": "uniform",
    "mole_y": "uniform",
    "second_mole": 0.15,
    "second_mole_x": "uniform",
    "second_mole_y": "uniform",
    "face_width": "normal",
    "jaw_width": "normal",
    "jaw_angle": "normal",
    "chin_length": "normal",
    "chin_width": "normal",
    "cheekbones": "normal",
    "cheek_fullness": "normal",
    "forehead_height": "normal",
    "hairline_shape": "normal",
    "eye_size": "normal",
    "eye_height": "normal",
    "eye_spacing": "normal",
    "eye_tilt": "normal",
    "eye_depth": "normal",
    "lid_fold": "normal",
    "eye_bags": "normal",
    "iris_tone": "uniform",
    "brow_height": "normal",
    "brow_thickness": "normal",
    "brow_arch": "normal",
    "brow_slant": "normal",
    "brow_length": "normal",
    "brow_tone": "normal",
    "nose_length": "normal",
    "nose_width": "normal",
    "nose_bridge": "normal",
    "nose_root": "normal",
    "nose_tip": "normal",
    "philtrum": "normal",
    "mouth_width": "normal",
    "upper_lip": "normal",
    "lower_lip": "normal",
    "mouth_curve": "normal",
    "lip_tone": "normal",
    "ear_size": "normal",
    "ear_angle": "normal",
    "hair_tone": "uniform",
    "hair_warmth": "normal",
    "hair_curl": "uniform",
    # habits, which a picture varies (hair_growth, shaved)
    "bald": 0.06,
    "hair_length": "uniform",
    "hair_parting": "uniform",
    "fringe": 0.3,
    "beard": 0.5,  # grows where masculinity > 0 and it is not shaved, so about 20 % of the faces wear one
}
_ATTRIBUTES: Mapping[str, str | float] = {
    # framing and pose
    "yaw": "normal",
    "pitch": "normal",
    "roll": "normal",
    "shift_x": "normal",
    "shift_y": "normal",
    "scale": "normal",
    # expression
    "smile": "normal",
    "mouth_open": 0.45,
    "brow_raise": "normal",
    "eye_open": "normal",
    "gaze_x": "normal",
    "gaze_y": "normal",
    # grooming
    "hair_growth": "normal",
    "hair_volume": "normal",
    "hair_tuck": "uniform",
    "hair_dye": 0.03,
    "shaved": 0.2,
    "makeup": 0.5,  # shows where masculinity < 0
    # things worn
    "glasses": 0.08,
    "glasses_style": "uniform",
    "hat": 0.07,
    "hat_style": "uniform",
    "earrings": 0.25,
    "earring_style": "uniform",
    "necklace": 0.08,
    "accessory_hue": "uniform",
    "cloth_style": "uniform",
    "cloth_hue": "uniform",
    "cloth_tone": "uniform",
    # things in front
    "occluder": 0.08,
    "occluder_style": "uniform",
    "occluder_x": "uniform",
    "occluder_y": "uniform",
    # scene and camera
    "light_side": "normal",
    "light_height": "normal",
    "light_warmth": "normal",
    "light_contrast": "uniform",
    "exposure": "normal",
    "background_style": "uniform",
    "background_hue": "uniform",
    "background_tone": "uniform",
    "sensor_noise": "uniform",
    "blur": "uniform",
}

IDENTITY_FACTORS: tuple[str, ...] = tuple(_IDENTITY)
"""Names of the entries of `Factors.identity`, in order."""
ATTRIBUTE_FACTORS: tuple[str, ...] = tuple(_ATTRIBUTES)
"""Names of the entries of `Factors.attributes`, in order."""


@dataclasses.dataclass(frozen=True)
class Factors:
    """The two factor vectors of one face; every value is exactly a float32.

    Attributes:
      identity: one number per name of IDENTITY_FACTORS.
      attributes: one number per name of ATTRIBUTE_FACTORS.
    """

    identity: tuple[float, ...]
    attributes: tuple[float, ...]

    def named(self) -> dict[str, float]:
        """Return all factors by name."""
        return dict(zip(IDENTITY_FACTORS + ATTRIBUTE_FACTORS, self.identity + self.attributes, strict=True))

    def replace(self, **values: float) -> "Factors":
        """Return a copy with some factors set by name.

        Raises:
          KeyError: an unknown name.
        """
        unknown = set(values) - set(IDENTITY_FACTORS) - set(ATTRIBUTE_FACTORS)
        if unknown:
            raise KeyError(f"no such factor: {', '.join(sorted(unknown))}")
        merged = self.named() | {name: float(np.float32(value)) for name, value in values.items()}
        return Factors(tuple(merged[n] for n in IDENTITY_FACTORS), tuple(merged[n] for n in ATTRIBUTE_FACTORS))


def sample_factors(seed: int, index: int, identity_index: int | None = None) -> Factors:
    """Draw the factors of face `index` of stream `seed`.

    Args:
      seed: any integer.
      index: the face of the stream whose attributes (and, by default, identity) are drawn.
      identity_index: take the identity of this face of the stream instead.
    """
    identity_index = index if identity_index is None else identity_index
    return Factors(
        identity=_draw(_IDENTITY, rng.fold(seed, "identity", identity_index)),
        attributes=_draw(_ATTRIBUTES, rng.fold(seed, "attributes", index)),
    )


def choice(value: float, count: int) -> int:
    """Return which of `count` equal intervals of [-1, 1] contains the factor `value`: 0 .. count - 1."""
    return min(max(int((value + 1.0) * 0.5 * count), 0), count - 1)


def _draw(kinds: Mapping[str, str | float], key: int) -> tuple[float, ...]:
    uniform = rng.uniforms(rng.fold(key, "uniform"), len(kinds))
    normal = rng.normals(rng.fold(key, "normal"), len(kinds)).clip(-2.5, 2.5)
    chance = np.array([kind if isinstance(kind, float) else 1.0 for kind in kinds.values()])
    values = np.where(uniform < chance, 1.0 - 0.75 * uniform / chance, 0.0)
    values = np.where([kind == "uniform" for kind in kinds.values()], 2.0 * uniform - 1.0, values)
    values = np.where([kind == "normal" for kind in kinds.values()], normal, values)
    return tuple(values.astype(np.float32).tolist())
