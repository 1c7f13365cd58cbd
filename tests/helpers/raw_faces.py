"""Raw data for tests of records: a folder of the `folder` layout, and a split of any faces."""

import dataclasses
import time
from pathlib import Path

import numpy as np
from etils import epath
from PIL import Image

from input_pipeline import labels
from input_pipeline.labels import LabelSet
from input_pipeline.readers.records.prepare import RawDataset
from input_pipeline.types import Problem


def write_folder(root, names, *, size=(12, 10), suffix=".png", ids=(0, 1, 13, 255)):
    """Random pixels and ids in root/images and root/masks."""
    (root / "images").mkdir(parents=True, exist_ok=True)
    (root / "masks").mkdir(exist_ok=True)
    for name in names:
        rng = np.random.default_rng(list(name.encode()))
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(root / "images" / f"{name}{suffix}")
        Image.fromarray(rng.choice(np.uint8(ids), size)).save(root / "masks" / f"{name}.png")


@dataclasses.dataclass(frozen=True)
class RawFaces:
    """A split whose face k is the photo ROOT/k, one mask, and five landmarks; `seconds` slow it down."""

    root: Path
    names: tuple[str, ...]
    label_set: LabelSet = labels.LAPA
    problems: tuple[Problem, ...] = ()
    seconds: float = 0
    side: int = 16

    def image_path(self, index):
        return epath.Path(self.root) / str(index)

    def read_mask(self, index):
        return np.arange(self.side**2, dtype=np.uint8).reshape(self.side, self.side) % len(self.label_set)

    def read_landmarks(self, index):
        time.sleep(self.seconds)
        return np.float32([[index, k + 0.5] for k in range(5)])


def make_faces(root, count, **options):
    """`RawFaces` called face0, face1, ... with photos of noise."""
    root.mkdir(parents=True, exist_ok=True)
    faces = RawFaces(root, tuple(f"face{k}" for k in range(count)), **options)
    for k in range(count):
        pixels = np.random.default_rng(k).integers(0, 256, (faces.side, faces.side, 3), np.uint8)
        Image.fromarray(pixels).save(root / str(k), "PNG")
    return faces


def data(raws, layout="toys"):
    return RawDataset(raws, layout, None, "Toys", "Nobody's.")


def contents(folder):
    """File name -> bytes of a folder of records, but for what says who wrote it."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != ".lock"}
