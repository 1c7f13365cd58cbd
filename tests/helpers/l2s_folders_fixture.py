"""Small region folders of procedural faces, file for file as the published code of Latents2Segments reads them."""

import numpy as np
from PIL import Image

from input_pipeline.labels import L2S_REGIONS
from tests.helpers.faces_fixture import Face, face

FACES = {"train": ("0", "10", "2"), "test": ("27001",)}
"""Names by split."""
REGIONS = ("hair", "skin", "nose", "eyes", "lips")


def regions_of(drawn: Face) -> dict[str, np.ndarray]:
    """bool [H, W] by region; the skin keeps eyes and mouth, as in the paper."""
    regions = {name: drawn.mask == L2S_REGIONS[name] for name in REGIONS}
    regions["skin"] |= regions["eyes"] | regions["lips"]
    return regions


def cut_out(image: np.ndarray, where: np.ndarray) -> np.ndarray:
    """The photo on black."""
    return np.where(where[..., None], image, 0).astype(np.uint8)


def write_l2s_folders(root, *, masks: bool = False) -> dict[str, Face]:
    """Writes `root`/{train,test}; the faces by name. Their photos have no black pixel, so that regions are exact.

    Args:
      root: pathlib.Path.
      masks: write regions white on black, not as the photo on black.
    """
    faces = {}
    for split, names in FACES.items():
        for folder in ("full", *REGIONS):
            (root / split / folder).mkdir(parents=True)
        for name in names:
            drawn = face(30 + len(faces), L2S_REGIONS)
            drawn = faces[name] = drawn._replace(image=np.maximum(drawn.image, 1))
            Image.fromarray(drawn.image).save(root / split / "full" / f"{name}.png")
            for region, where in regions_of(drawn).items():
                picture = cut_out(np.full_like(drawn.image, 255) if masks else drawn.image, where)
                Image.fromarray(picture).save(root / split / region / f"{name}.png")
    return faces
