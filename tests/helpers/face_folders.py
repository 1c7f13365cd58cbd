"""Small folders of procedural faces in LaPa's classes, whole or with one fault of every kind."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline import labels
from input_pipeline.labels import LAPA
from input_pipeline.synthetic import SyntheticSource

SIDE = 96
FACES = {"train": ["t0", "t1", "t2", "t3", "t4", "t5", "t6", "t7"], "val": ["v0", "v1", "v2"]}


def write(root: Path) -> Path:
    """The faces of `FACES` as folder layout; every class occurs, no picture twice."""
    source = SyntheticSource(sum(map(len, FACES.values())), SIDE, seed=3)
    to_lapa = labels.remap(source.label_set, LAPA)
    places = [root / split / "images" / f"{name}.png" for split, names in FACES.items() for name in names]
    for example, path in zip(source, places, strict=False):
        write_face(path, example["image"], to_lapa[example["mask"]])
    (root / "labels.json").write_text(json.dumps({"label_set": "lapa"}))
    return root


def write_face(path: Path, image: np.ndarray, mask: np.ndarray) -> None:
    for folder, pixels in (("images", image), ("masks", mask)):
        (path.parents[1] / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path.parents[1] / folder / path.name)


def mask_of(root: Path, split: str, name: str) -> np.ndarray:
    return np.asarray(Image.open(root / split / "masks" / f"{name}.png"))


def plant(root: Path) -> dict[tuple[str, str, str], str]:
    """Damages the faces of `write`; returns {(kind, split, name): a part of the sentence that should tell of it}."""
    for path in root.glob("*/masks/*.png"):
        mask = np.asarray(Image.open(path))
        Image.fromarray(np.where(mask == LAPA["mouth"], LAPA["l_lip"], mask).astype(np.uint8)).save(path)
    images, masks = root / "train" / "images", root / "train" / "masks"
    (masks / "t1.png").unlink()
    truncated = images / "t2.png"
    truncated.write_bytes(truncated.read_bytes()[:2000])
    unknown = mask_of(root, "train", "t3").copy()
    unknown[:2] = 77
    Image.fromarray(unknown).save(masks / "t3.png")
    Image.fromarray(mask_of(root, "train", "t4")[:, 5:]).save(masks / "t4.png")
    (root / "val" / "images" / "v1.png").write_bytes((images / "t5.png").read_bytes())
    Image.fromarray(LAPA.flip[mask_of(root, "train", "t7")]).save(masks / "t7.png")
    compressed = io.BytesIO()
    Image.open(images / "t6.png").save(compressed, "JPEG", quality=40)
    (root / "val" / "images" / "v2.png").unlink()
    (root / "val" / "images" / "v2.jpg").write_bytes(compressed.getvalue())
    return {
        ("incomplete", "train", "t1"): "mask",
        ("broken", "train", "t2"): "t2.png' is damaged",
        ("broken", "train", "t3"): "77",
        ("broken", "train", "t4"): f"{SIDE - 5} x {SIDE}",
        ("leak", "val", "v1"): "train/t5",
        ("near_leak", "val", "v2"): "train/t6",
        ("swapped_sides", "train", "t7"): "'l_eye' lies left of 'r_eye'",
        ("empty_class", "", "mouth"): "'mouth'",
    }
