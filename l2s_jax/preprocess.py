"""Any picture into the square a network wants, and the answer back onto the picture.

Rule `pad-square-bilinear`: the longer side is resized to the network's side (antialiased bilinear), the shorter one in
proportion; the picture is centred and its border pixels are repeated to fill the square. Nothing is cropped and
nothing is stretched. On the way back the PROBABILITIES of the picture's part of the square are interpolated
bilinearly to the original size and decided there: interpolating labels would make steps, and logits would let one
over-confident pixel move a border.
"""

import numpy as np
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.transforms import fit_box, fit_square


def to_square(image: np.ndarray, side: int) -> np.ndarray:
    """uint8 [H, W, 3] of any size -> float32 [side, side, 3] in [-1, 1].

    Raises:
      UserError: not a uint8 RGB picture with at least one pixel.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise UserError(f"an image must be uint8 [H, W, 3], this one is {image.dtype} {list(image.shape)}")
    return fit_square({"image": image}, side)["image"].astype(np.float32) / 127.5 - 1.0


def decide(probabilities: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The most probable class of every pixel of the original picture.

    Class by class, so that a 24-megapixel photo never needs all its [H, W, K] probabilities at once.

    Args:
      probabilities: float32 [S, S, K] of the square.
      height, width: size of the original picture.

    Returns:
      ids uint8 [height, width] and their probability, float32 [height, width]; a tie goes to the lower id.
    """
    box = fit_box(height, width, probabilities.shape[0])
    ids, best = np.zeros((height, width), np.uint8), np.full((height, width), -1.0, np.float32)
    for k, plane in enumerate(np.moveaxis(probabilities.astype(np.float32), -1, 0)):
        plane = np.ascontiguousarray(plane[box.top : box.bottom, box.left : box.right])
        plane = np.asarray(Image.fromarray(plane).resize((width, height), Image.Resampling.BILINEAR))
        ids[plane > best] = k
        np.maximum(best, plane, out=best)
    return ids, best
