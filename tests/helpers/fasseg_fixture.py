"""Small FASSEG sets of procedural faces, file for file as the real ones lie on disk."""

import io

import numpy as np
from PIL import Image

from input_pipeline.labels import FASSEG
from tests.helpers.faces_fixture import Face, face

COLORS = {  # as published readers of the data set have them
    "background": (255, 0, 0),
    "skin": (255, 255, 0),
    "hair": (127, 0, 0),
    "eyes": (0, 0, 255),
    "nose": (0, 255, 255),
    "lips": (0, 255, 0),
}
SETS = {
    "frontal02": {
        "Train_RGB": ("1", "10", "2"),
        "Test_RGB": ("1", "7"),
    },
    "multipose01": {
        "Train_RGB/+15": ("personne01147+0+15",),
        "Train_RGB/-90": ("personne01140+0-90", "personne01240+0-90"),
        "Train_RGB/0": ("personne01146+0+0",),
        "Test_RGB/+15": ("personne08147+0+15",),
    },
    "frontal03": {"Original": ("000", "001")},
}
"""Set -> folder of photos -> names."""


def colored(mask: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3]: ids of FASSEG in the colours of the data set."""
    return np.array([COLORS[name] for name in FASSEG.names], np.uint8)[mask]


def labels_folder(folder: str) -> str:
    """The folder of label images beside a folder of photos."""
    if "/" in folder:
        return folder.replace("_RGB", "_labels")
    return "Labeled" if folder == "Original" else folder.replace("_RGB", "_Labels")


def encode(image: np.ndarray, ending: str) -> bytes:
    """A BMP, or a JPEG of the quality that image editors propose."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, {"bmp": "BMP", "jpg": "JPEG"}[ending], quality=90)
    return file.getvalue()


def write_fasseg(root, name: str) -> dict[str, Face]:
    """Writes the set `name` into `root`; the faces by folder and name, as in `Train_RGB/1`."""
    ending = "jpg" if name == "frontal03" else "bmp"
    faces = {}
    for folder, names in SETS[name].items():
        for kind in (folder, labels_folder(folder)):
            (root / kind).mkdir(parents=True)
        for stem in names:
            drawn = faces[f"{folder}/{stem}"] = face(20 + len(faces), FASSEG)
            (root / folder / f"{stem}.{ending}").write_bytes(encode(drawn.image, ending))
            (root / labels_folder(folder) / f"{stem}.{ending}").write_bytes(encode(colored(drawn.mask), ending))
    return faces
