"""A small CelebAMask-HQ download of procedural faces, file for file as the real one lies on disk."""

import io
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic import render, sample_factors

FACES = {0: "train", 7: "val", 1999: "test", 2000: "train", 4001: "test", 29999: "train"}
"""Number -> split of the faces written without another wish; three folders of annotations."""

_DRESSED = {"glasses": 1.5, "necklace": 1.5, "earrings": 1.5, "hat": -1.0, "bald": -1.0}
_FACE = ("nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")


class Face(NamedTuple):
    """What was written of a face.

    Attributes:
      photo: bytes of the JPEG.
      parts: name -> bool [size, size]; they overlap.
      split: of CelebA.
    """

    photo: bytes
    parts: dict[str, np.ndarray]
    split: str


def write_celebamask_hq(
    root, splits: Mapping[int, str] = FACES, *, size: int = 48, seed: int = 0, partition: bool = True
) -> dict[int, Face]:
    """Writes `root`/CelebAMask-HQ; the first face wears glasses, earrings and a necklace.

    Args:
      root: pathlib.Path of a folder.
      splits: number -> train, val or test.
      size: side of the parts; photos have twice as much.
      seed: of the stream of faces.
      partition: also write CelebA's partition, which is no part of the download.
    """
    home = root / "CelebAMask-HQ"
    (home / "CelebA-HQ-img").mkdir(parents=True)
    faces = {}
    for number, split in splits.items():
        factors = sample_factors(seed, number)
        factors = factors if faces else factors.replace(**_DRESSED)
        faces[number] = _draw(seed, number, size, split, factors)
        (home / "CelebA-HQ-img" / f"{number}.jpg").write_bytes(faces[number].photo)
        for part, where in faces[number].parts.items():
            write_part(home, number, part, where)
    # Numbers of the original photos fall where those of CelebA-HQ rise.
    origins = {number: f"{202599 - 3 * number:06d}.jpg" for number in splits}
    rows = [f"{number:<12}{int(name[:6]) - 1:<12}{name}" for number, name in origins.items()]
    (home / "CelebA-HQ-to-CelebA-mapping.txt").write_text("\n".join(["idx         orig_idx    orig_file", *rows, ""]))
    if partition:
        homes = {origins[number]: split for number, split in splits.items()} | {"000001.jpg": "train"}
        lines = [f"{name} {('train', 'val', 'test').index(homes[name])}\n" for name in sorted(homes)]
        (home / "list_eval_partition.txt").write_text("".join(lines))
    return faces


def write_part(home, number: int, part: str, where: np.ndarray) -> None:
    """Writes one part, white on black in RGB, into the folder `home` = CelebAMask-HQ."""
    path = home / "CelebAMask-HQ-mask-anno" / str(number // 2000) / f"{number:05d}_{part}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.repeat(where[..., None], 3, axis=-1).astype(np.uint8) * np.uint8(255)).save(path)


def painted(parts: Mapping[str, np.ndarray], order: Sequence[str]) -> np.ndarray:
    """uint8 [H, W] ids of CELEBAMASK: of the parts that cover a pixel the last in `order` (no painting involved)."""
    present = [part for part in order if part in parts]
    ranks = np.max([(k + 1) * parts[part] for k, part in enumerate(present)], axis=0)
    return np.array([0] + [CELEBAMASK[part] for part in present], np.uint8)[ranks]


def _draw(seed: int, number: int, size: int, split: str, factors) -> Face:
    photo = io.BytesIO()
    Image.fromarray(render(seed, number, 2 * size, factors=factors)["image"]).save(photo, "JPEG")
    mask = render(seed, number, size, factors=factors)["mask"]
    visible = {name: mask == CELEBAMASK[name] for name in CELEBAMASK.names[1:]}
    visible["skin"] = np.any([visible[name] for name in ("skin", *_FACE)], axis=0)  # as annotators draw it
    parts = {name: binary_dilation(where, iterations=2) for name, where in visible.items() if where.any()}
    return Face(photo.getvalue(), parts, split)
