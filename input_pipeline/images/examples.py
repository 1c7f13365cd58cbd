"""Assembly of one example: the photo decoded, its mask and landmarks checked against it."""

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images.decode import Picture, name_of, read_sized
from input_pipeline.labels import LabelSet
from input_pipeline.types import Example


def assemble(
    picture: Picture, mask: np.ndarray | None, landmarks: np.ndarray | None, *, at_least: int | None = None
) -> Example:
    """Assemble the example of a photo.

    Args:
      picture: the photo.
      mask: uint8 [h, w] ids, or None.
      landmarks: float32 [K, 2] in pixels of the photo, or None.
      at_least: as in `read_image`: the photo may be decoded smaller, and landmarks are scaled with it.

    Raises:
      UserError: a photo that cannot be read, or a mask that does not cover it: their sizes must be equal, or one an
        integer multiple of the other (CelebAMask-HQ's masks have half the size of its photos).
    """
    image, (height, width) = read_sized(picture, at_least=at_least)
    example = {"image": image}
    if mask is not None:
        if not _same_view((height, width), mask.shape):
            raise UserError(
                f"the mask of '{name_of(picture)}' has {mask.shape[1]} x {mask.shape[0]} pixels, but the photo has "
                f"{width} x {height}: they must be equal, or one a whole multiple of the other"
            )
        example["mask"] = mask
    if landmarks is not None:
        reduction = np.divide(image.shape[1::-1], (width, height))
        example["landmarks"] = (landmarks * reduction).astype(np.float32)
    return example


def check_ids(mask: np.ndarray, label_set: LabelSet, name: str) -> None:
    """Raise UserError unless every value of `mask` is an id of `label_set` or 255."""
    unknown = (mask >= len(label_set)) & (mask != labels.IGNORE)
    if unknown.any():
        raise UserError(
            f"'{name}' holds the class id {mask[unknown].min()}, but label set '{label_set.name}' ends at "
            f"{len(label_set) - 1} (and {labels.IGNORE} = ignore): correct the mask or name its label set"
        )


def _same_view(photo: tuple[int, ...], mask: tuple[int, ...]) -> bool:
    (h, w), (larger_h, larger_w) = sorted((photo[:2], mask[:2]))
    return larger_h % h == 0 and larger_h // h * w == larger_w
