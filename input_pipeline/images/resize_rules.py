"""Resize rules: how an image of any size and shape becomes the square that a network sees.

| rule | image | mask |
|---|---|---|
| `pad-square-bilinear` | in proportion, centred, its border repeated; antialiased bilinear | 255 around the image |
| `pad-square-bicubic` | the same, antialiased bicubic | 255 around the image |
| `stretch-bicubic` | stretched to the square; antialiased bicubic | all of the square |

In all of them each pixel of the mask takes the id found at its centre, and landmarks move along. `config.data.resize`
selects one for training, evaluation and the exported model, whose `model.json` names it. The default is the first: no
face changes its shape. The second is how the published networks of Structure via Consensus see photos (Masi et al.,
CVPR 2020: Pillow's `thumbnail`, which at four times the side or more reduces in blocks first, a few grey levels apart,
and does not enlarge smaller images), the third what the published SegFace networks were trained and scored with
(Narayan et al., AAAI 2025: Pillow's BICUBIC for images, NEAREST for masks).
"""

import dataclasses
from collections.abc import Callable
from functools import partial

from input_pipeline.errors import lookup
from input_pipeline.images.geometry import Box, fit_box, fit_square, resize
from input_pipeline.images.resampling import Kernel
from input_pipeline.types import Example


@dataclasses.dataclass(frozen=True)
class ResizeRule:
    """One resize rule, with its inverse.

    Attributes:
      name: as in `model.json`.
      fit: (example, side) -> image uint8 [side, side, 3], and mask uint8 [side, side] and landmarks if present.
      box: (height, width, side) -> the part of the square that a [height, width] image fills.
      stretches: images lose their proportions. Random views of training faces use only this: they are one map with
        another kernel (see `augment.random_view`).
    """

    name: str
    fit: Callable[[Example, int], Example]
    box: Callable[[int, int, int], Box]
    stretches: bool = False


def _stretch(example: Example, side: int) -> Example:
    return resize(example, side, side, Kernel.BICUBIC)


def _all_of_it(height: int, width: int, side: int) -> Box:
    return Box(0, 0, side, side)


PAD_SQUARE = ResizeRule("pad-square-bilinear", fit_square, fit_box)
PAD_SQUARE_BICUBIC = ResizeRule("pad-square-bicubic", partial(fit_square, kernel=Kernel.BICUBIC), fit_box)
STRETCH = ResizeRule("stretch-bicubic", _stretch, _all_of_it, stretches=True)
RULES = {rule.name: rule for rule in (PAD_SQUARE, PAD_SQUARE_BICUBIC, STRETCH)}


def find(name: str) -> ResizeRule:
    """Return the rule called `name`.

    Raises:
      UserError: no such rule.
    """
    return lookup(RULES, name, "resize rule")
