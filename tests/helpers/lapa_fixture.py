"""A small LaPa download of procedural faces, file for file as the real one lies on disk."""

import numpy as np
from PIL import Image

from input_pipeline.labels import LAPA
from tests.helpers.faces_fixture import Face, face

FACES = {"train": ("112335_0", "HELEN_2_1_0", "99_12"), "val": ("7_1",), "test": ("8_0", "8_1")}
"""Names by split."""


def points_of(index: int) -> np.ndarray:
    """float32 [106, 2] with six decimals or fewer, some outside of the picture."""
    return np.random.default_rng(index).uniform(-9, 60, (106, 2)).round(4).astype(np.float32)


def write_lapa(root) -> dict[str, Face]:
    """Writes `root`/LaPa; the faces by name, their landmarks the 106 that were written."""
    faces = {}
    for split, names in FACES.items():
        folder = root / "LaPa" / split
        for kind in ("images", "labels", "landmarks"):
            (folder / kind).mkdir(parents=True)
        for name in names:
            drawn = face(len(faces), LAPA)._replace(landmarks=points_of(len(faces)))
            faces[name] = drawn
            (folder / "images" / f"{name}.jpg").write_bytes(drawn.jpeg())
            Image.fromarray(drawn.mask).save(folder / "labels" / f"{name}.png")
            lines = ["106", *(f"{x:.4f} {y:.4f}" for x, y in drawn.landmarks)]
            (folder / "landmarks" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return faces
