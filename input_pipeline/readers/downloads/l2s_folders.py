"""The training folders of the published code of Latents2Segments: the photo, and each region of it on black.

DIR[/{train,test}]/full/NAME.png         the photo
DIR[/{train,test}]/{hair,skin,nose,eyes,lips}/NAME.png
                                         the same photo, black outside of the region; or a mask, white on black

Every pixel that is not black belongs to the region. Regions overlap (the skin keeps eyes, brows and mouth: paper,
Fig. 2); they are painted in the order of the paper's code, hair, skin, nose, eyes, lips, the later over the earlier.
Where a region is cut out of the photo, black spots of the photo itself (pupils, dark hair) look like gaps: gaps inside
the head where the photo is black take the class of the nearest pixel. Next to a black backdrop the two cannot be told
apart.
The published code pairs files by their position in sorted lists, so that one missing file shifts all faces after it;
here they are paired by name.
"""

import numpy as np
from etils import epath
from scipy import ndimage

from input_pipeline.images.decode import read_drawing
from input_pipeline.labels import L2S_REGIONS
from input_pipeline.readers.downloads.face_files import (
    PHOTO_ENDINGS,
    FileRole,
    MatchedSplit,
    check_shapes,
    find_splits,
    match_by_name,
)
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.specs import check_split

REGIONS = L2S_REGIONS.names[1:]
"""Regions in the order in which they are painted."""

# The coding noise that JPEG leaves in black; none in lossless files.
_JPEG_BLACK = 16


def _read_mask(split: MatchedSplit, index: int) -> np.ndarray:
    """Read a mask; raise UserError for a damaged file, or a region whose size differs from the photo's."""
    photo = split.image_path(index)
    black = _brightness(photo) == 0
    mask = np.zeros(black.shape, np.uint8)
    cut_out = False
    for role, region in enumerate(REGIONS, 1):
        path = split.path(role, index)
        brightness = _brightness(path)
        check_shapes(brightness.shape, path, mask.shape, f"its photo '{photo}'")
        mask[brightness > 0] = L2S_REGIONS[region]
        cut_out |= bool(((brightness > 0) & (brightness < 255 - _JPEG_BLACK)).any())
    return _close_gaps(mask, black) if cut_out else mask


def _brightness(path: epath.Path) -> np.ndarray:
    """Return the brightest channel, uint8 [H, W]; 0 where the image is black."""
    drawing = read_drawing(path, exact=False)
    brightest = drawing.pixels.max(axis=-1)
    if drawing.coding is not None:
        brightest[brightest <= _JPEG_BLACK] = 0
    return brightest


def _close_gaps(mask: np.ndarray, black: np.ndarray) -> np.ndarray:
    """Return the mask with black spots inside the head filled by the class of the nearest labelled pixel."""
    gaps = ndimage.binary_fill_holes(mask > 0) & (mask == 0) & black
    if not gaps.any():
        return mask
    rows, columns = ndimage.distance_transform_edt(mask == 0, return_distances=False, return_indices=True)
    return np.where(gaps, mask[rows, columns], mask)


def _splits(root: epath.Path) -> tuple[str, ...]:
    return find_splits(root, "full", f"photos are in full/, beside {', '.join(REGIONS)}")


def _open(root: epath.Path, split: str, variant: str | None) -> MatchedSplit:
    check_split("l2s_folders", str(root), split, _splits(root))
    folder = root / split if split else root
    matched = match_by_name(
        FileRole("photo", folder / "full", PHOTO_ENDINGS),
        *(FileRole(f"{region} image", folder / region, PHOTO_ENDINGS) for region in REGIONS),
    )
    return MatchedSplit(L2S_REGIONS, matched, _read_mask)


LAYOUT = Layout(
    name="l2s_folders",
    title="folders of Latents2Segments",
    licence="The folders are made from CelebAMask-HQ, which is for non-commercial research and education only.",
    shape="""\
DIR[/{train,test}]/full/NAME.png
DIR[/{train,test}]/{hair,skin,nose,eyes,lips}/NAME.png     the photo on black, or a mask""",
    splits=_splits,
    open=_open,
)
