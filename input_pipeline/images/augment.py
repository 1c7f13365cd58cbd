"""Random augmentation of a training face: its geometry, its colours, and the effects of a camera.

All geometric changes become one resampling and all colour changes one matrix, so an image is interpolated and rounded
as few times as possible. Ours; the ranges are usual for aligned faces.
"""

import dataclasses
import io
import math
from collections.abc import Mapping
from statistics import NormalDist

import cv2
import numpy as np
from PIL import Image

from input_pipeline.errors import lookup, require
from input_pipeline.images.geometry import flip, square_matrix, warp
from input_pipeline.images.occlusion import occlude
from input_pipeline.images.resampling import GREY
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import IGNORE, LabelSet
from input_pipeline.types import Example

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_NORMAL = np.array([NormalDist().inv_cdf((value + 0.5) / 256) for value in range(256)])
"""The standard normal distribution as 256 equally likely values."""


_MOVES, _COLORS = ("flip", "rotate", "shift", "shear"), ("brightness", "contrast", "saturation", "tint", "grey")
OFF = dict.fromkeys((*_MOVES, *_COLORS, "occlude", "blur", "jpeg", "noise"), 0.0) | {"scale_min": 1.0, "scale_max": 1.0}
"""Fields of `Augment` that turn every change off."""


@dataclasses.dataclass(frozen=True)
class Augment:
    """Options of the augmentation; every magnitude is the limit of a uniform draw.

    Attributes:
      flip: probability of mirroring (left and right swap their ids).
      rotate: degrees in either direction.
      scale_min, scale_max: magnification.
      scale_log: draw the logarithm of the magnification uniformly; False draws the magnification itself uniformly.
      shift: fraction of the side, in x and in y.
      shear: horizontal shift per pixel of height, and vertical shift per pixel of width (0.2 leans by 11 degrees).
      edge: repeat the border pixels outside the photo; False paints `fill`.
      fill: grey level outside the photo, 0 = black, 128 = mid-grey, 255 = white.
      ignore_outside: set mask pixels outside the photo to ignore; False makes them background (class 0).
      occlude: probability of one to three patches over the face.
      occlude_size: length of the longest of them as a fraction of the side.
      occlude_ignore: set mask pixels under a patch to ignore; False keeps their class, as the face continues behind it.
      occlude_hides: set mask pixels under a patch to background (class 0), as of a hand or a cup before the face.
      brightness: factor 1 +- this.
      contrast: factor 1 +- this, about the mean grey of the image.
      saturation: factor 1 +- this, about the grey of each pixel.
      tint: factor 1 +- this, drawn for each colour channel separately (white balance).
      grey: probability of converting to grey.
      blur: probability of a Gaussian blur.
      blur_sigma: maximum standard deviation of that blur, pixels of the result.
      jpeg: probability of JPEG compression.
      jpeg_quality: its minimum quality (1..95); the maximum is 95.
      noise: probability of Gaussian sensor noise.
      noise_sigma: its maximum standard deviation; 255 is white.

    Raises:
      UserError: a value outside its range.
    """

    flip: float = 0.5
    rotate: float = 12.0
    scale_min: float = 0.85
    scale_max: float = 1.2
    scale_log: bool = True
    shift: float = 0.06
    shear: float = 0.0
    edge: bool = True
    fill: int = GREY
    ignore_outside: bool = True
    occlude: float = 0.0
    occlude_size: float = 0.3
    occlude_ignore: bool = False
    occlude_hides: bool = False
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.3
    tint: float = 0.05
    grey: float = 0.05
    blur: float = 0.1
    blur_sigma: float = 1.0
    jpeg: float = 0.1
    jpeg_quality: int = 30
    noise: float = 0.25
    noise_sigma: float = 6.0

    def __post_init__(self):
        shares = ("flip", "shift", "occlude", "brightness", "contrast", "saturation", "tint", "grey", "blur", "jpeg")
        limits = dict.fromkeys((*shares, "noise"), 1) | {"shear": 0.5, "occlude_size": 1}
        for name, limit in (limits | dict.fromkeys(("rotate", "fill", "blur_sigma", "noise_sigma"), 255)).items():
            _check(0 <= getattr(self, name) <= limit, name, getattr(self, name), f"goes from 0 to {limit}")
        both = self.occlude_ignore and self.occlude_hides
        _check(not both, "occlude_hides", True, "goes with occlude_ignore=False: a patch has one label")
        _check(self.occlude_size >= 0.01, "occlude_size", self.occlude_size, "goes from 0.01 to 1")
        _check(1 <= self.jpeg_quality <= 95, "jpeg_quality", self.jpeg_quality, "goes from 1 to 95")
        _check(0.1 <= self.scale_min <= self.scale_max <= 10, "scale_min", self.scale_min, "goes from 0.1 to scale_max")

    @property
    def label_of_patches(self) -> int | None:
        """Return the class id of mask pixels under a patch; None = they keep their own."""
        return IGNORE if self.occlude_ignore else 0 if self.occlude_hides else None

    @classmethod
    def none(cls) -> "Augment":
        """Return options without any change: the face as from `fit_square`, up to the resampling."""
        return cls(**OFF)

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> "Augment":
        """Return the defaults with some fields replaced, as in a config.

        Raises:
          UserError: an unknown field (the sentence suggests the nearest one), a value of another type or out of range.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(cls)}
        for name, value in values.items():
            kind = type(lookup(defaults, name, "augmentation", cutoff=0.6))
            fits = isinstance(value, (int, float) if kind is float else kind)
            _check(fits and isinstance(value, bool) == (kind is bool), name, value, f"must be a {kind.__name__}")
        return cls(**values)


def random_view(
    example: Example,
    options: Augment,
    label_set: LabelSet,
    side: int,
    rng: np.random.Generator,
    resize: ResizeRule = PAD_SQUARE,
) -> Example:
    """Draw a random training view of a face.

    Args:
      example: any size; its mask in `label_set`.
      options: the augmentation.
      label_set: of the mask.
      side: of the square result.
      rng: the only source of randomness.
      resize: decides whether the photo is stretched to the square; the view is bilinear under every rule.

    Returns:
      image uint8 [side, side, 3], mask uint8 [side, side] in `label_set`, landmarks moved alike, the rest unchanged.
    """
    if rng.random() < options.flip:
        example = flip(example, label_set)
    height, width = example["image"].shape[:2]
    matrix = square_matrix(
        height,
        width,
        side,
        degrees=_about(0, options.rotate, rng),
        scale=_magnification(options, rng),
        shift=(_about(0, options.shift, rng), _about(0, options.shift, rng)),
        # Newer than saved configs: disabled, it draws nothing, so their random streams stay the same.
        shear=(_about(0, options.shear, rng), _about(0, options.shear, rng)) if options.shear else (0.0, 0.0),
        stretch=resize.stretches,
    )
    mask_fill = IGNORE if options.ignore_outside else 0
    view = warp(example, matrix, side, edge=options.edge, mask_fill=mask_fill, fill=options.fill)
    if options.occlude and rng.random() < options.occlude:
        view = occlude(view, size=options.occlude_size, label=options.label_of_patches, rng=rng)
    view["image"] = _photograph(view["image"], options, rng)
    return view


def color_matrix(mean: float, *, brightness: float, contrast: float, saturation: float, tint: np.ndarray) -> np.ndarray:
    """Return all colour changes as one affine map of RGB, since each of them is affine.

    Args:
      mean: mean grey of the image, the fixed point of the contrast, 0..255.
      brightness, contrast, saturation: factors; 1 changes nothing, saturation 0 makes grey.
      tint: [3] factors of the channels.

    Returns:
      float64 [3, 4] matrix C with `rgb' = C @ (r, g, b, 1)`.
    """
    mix = saturation * np.eye(3) + (1 - saturation) * _LUMA
    linear = contrast * brightness * tint[:, None] * mix
    return np.column_stack([linear, np.full(3, (1 - contrast) * brightness * mean)])


def _magnification(options: Augment, rng: np.random.Generator) -> float:
    if options.scale_log:
        return float(np.exp(rng.uniform(np.log(options.scale_min), np.log(options.scale_max))))
    return rng.uniform(options.scale_min, options.scale_max)


def _photograph(image: np.ndarray, options: Augment, rng: np.random.Generator) -> np.ndarray:
    """Apply light, lens, sensor and compression in the order of a camera."""
    colors = color_matrix(
        float(np.dot(_LUMA, cv2.mean(image)[:3])),
        brightness=_about(1, options.brightness, rng),
        contrast=_about(1, options.contrast, rng),
        saturation=0.0 if rng.random() < options.grey else _about(1, options.saturation, rng),
        tint=1 + rng.uniform(-options.tint, options.tint, 3),
    )
    image = cv2.transform(image, colors)
    if rng.random() < options.blur:
        sigma = rng.uniform(0, options.blur_sigma)
        window = 2 * math.ceil(3 * sigma) + 1
        image = cv2.GaussianBlur(image, (window, window), sigma, borderType=cv2.BORDER_REPLICATE)
    if rng.random() < options.noise:
        image = _with_noise(image, rng.uniform(0, options.noise_sigma), rng)
    if rng.random() < options.jpeg:
        image = compressed(image, int(rng.integers(options.jpeg_quality, 96)))
    return image


def _with_noise(image: np.ndarray, sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise: each value is a random byte looked up among 256 equally likely ones, which is faster."""
    draws = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return cv2.add(image, cv2.LUT(draws, np.rint(sigma * _NORMAL).astype(np.int16)), dtype=cv2.CV_8U)


def compressed(image: np.ndarray, quality: int) -> np.ndarray:
    """Return an image uint8 [H, W, 3] after JPEG compression of a quality in 1..95."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def _about(centre: float, spread: float, rng: np.random.Generator) -> float:
    return rng.uniform(centre - spread, centre + spread)


def _check(ok: bool, name: str, value: object, rule: str) -> None:
    require(ok, f"augmentation '{name}' is {value!r}, but it {rule}")
