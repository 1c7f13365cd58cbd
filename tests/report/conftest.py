"""A small workdir with every part a report can have, drawn from ellipses."""

import json
from pathlib import Path

import numpy as np
import pytest

from input_pipeline.labels import L2S_REGIONS
from l2s_jax.report.html import write_report

SIZE, FACES, CLASSES = 24, 3, len(L2S_REGIONS)


def ellipses(shift: int) -> np.ndarray:
    """uint8 [SIZE, SIZE], hair, skin, nose, eyes and lips as ellipses."""
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    ids = np.zeros((SIZE, SIZE), np.uint8)
    face = ((1, 12, 10, 9, 9), (2, 12, 12, 7, 9), (3, 12, 13, 1, 3))
    features = ((4, 8, 10, 2, 1), (4, 16, 10, 2, 1), (5, 12, 18, 3, 1))
    for label, center_x, center_y, radius_x, radius_y in face + features:
        ids[((x - center_x - shift) / radius_x) ** 2 + ((y - center_y) / radius_y) ** 2 <= 1] = label
    return ids


def whole_arrays() -> dict[str, np.ndarray]:
    """All arrays of evaluation.npz."""
    truth = np.stack([ellipses(shift) for shift in range(FACES)])
    prediction = np.roll(truth, 1, axis=1)
    image = (L2S_REGIONS.palette[truth] // 2) + np.arange(SIZE, dtype=np.uint8)[:, None]
    slices = np.repeat(image[:, None], CLASSES, axis=1)
    confusion = np.zeros((CLASSES, CLASSES), np.int64)
    np.add.at(confusion, (truth.ravel(), prediction.ravel()), 1)
    donors = np.sort(np.arange(10 * CLASSES).reshape(10, CLASSES) % FACES).astype(np.uint8)
    return {
        "confusion": confusion,
        "effect": np.eye(CLASSES) * 0.02 + 0.001,
        "effect_unmatted": np.eye(CLASSES) * 0.001 + 0.02,
        "random_effect": np.eye(CLASSES) * 0.01 + 0.01,
        "random_effect_unmatted": np.full((CLASSES, CLASSES), 0.5),
        "image": image,
        "truth": truth,
        "prediction": prediction,
        "confidence": np.full(truth.shape, 200, np.uint8),
        "reconstruction": 255 - image,
        "regions": slices,
        "swaps": slices,
        "triangle": image[np.arange(10) % FACES],
        "triangle_donors": donors,
        "traversals": np.repeat(image[None, np.arange(7) % FACES], CLASSES, axis=0),
        "traversal_positions": np.arange(7, dtype=np.float32) / 3,
    }


def dependence(first: float) -> dict:
    """An entry of metrics.json, all numbers of which differ: 0.001 more from pair to pair."""
    pairs = np.eye(CLASSES)
    upper = np.triu_indices(CLASSES, k=1)
    pairs[upper] = first + 0.001 * np.arange(len(upper[0]))
    pairs = np.maximum(pairs, pairs.T)
    return {"mean": first + 0.0074, "null": first - 0.0509, "null_max": first + 0.0036, "pairs": pairs.tolist()}


def whole_metrics() -> dict:
    """metrics.json as an evaluation writes it; nobody wears a nose in this data."""
    scores = {"f1": 0.8125, "iou": 0.6875, "precision": 0.9, "recall": 0.7, "pixels": 1000}
    per_class = dict.fromkeys(L2S_REGIONS.names, scores)
    per_class["nose"] = {"f1": None, "iou": None, "precision": None, "recall": None, "pixels": 0}
    error = {"l1": 0.05, "psnr": 30.0}
    return {
        "segmentation": {
            "mean_f1": 0.8371,
            "mean_iou": 0.7219,
            "pixel_accuracy": 0.95,
            "per_class": per_class,
            "native": {"mean_f1": 0.8253, "mean_iou": 0.7107, "per_class": per_class},
            "components_off": {"total": 1.375, "per_class": dict.fromkeys(L2S_REGIONS.names, 0.625)},
            "boundary_f1": {"mean": 0.5432, "per_class": dict.fromkeys(L2S_REGIONS.names, 0.4567)},
            "baselines": {
                "mean_mask": {
                    "mean_f1": 0.4123,
                    "mean_iou": 0.3012,
                    "per_class": {name: {"f1": 0.3217} for name in per_class},
                },
                "chance": {"mean_f1": 0.1515, "per_class": {}},
            },
        },
        "reconstruction": {
            "l1": 0.0831,
            "psnr": 24.31,
            "inside": dict.fromkeys(L2S_REGIONS.names, error),
            "outside": dict.fromkeys(L2S_REGIONS.names, error),
            "mean_face": {
                "l1": 0.3456,
                "psnr": 12.34,
                "inside": {name: {"l1": 0.4321, "psnr": 11.11} for name in L2S_REGIONS.names},
                "examples": 128,
            },
        },
        "disentanglement": {
            "acs": 0.9,
            "macro_acs": 0.8742,
            "chance": 1 / CLASSES,
            "swap": {"macro_acs": 0.8531},
            "without_matte": {
                "macro_acs": 0.1771,
                "leak": dict.fromkeys(L2S_REGIONS.names, 0.8213),
                "swap": {"macro_acs": 0.1888},
            },
            "random_generator": {
                "macro_acs": 0.7812,
                "swap": {"macro_acs": 0.7913},
                "without_matte": {"macro_acs": 0.1694, "swap": {"macro_acs": 0.1695}},
                "examples": 60,
            },
            "leak": dict.fromkeys(L2S_REGIONS.names, 0.125),
            "total": dict.fromkeys(L2S_REGIONS.names, 0.02),
            "dead_slices": ["lips"],
            "slices": list(L2S_REGIONS.names),
            "dependence": {"pooled": {"hsic": dependence(0.1)}, "one_face": {"dcor": dependence(0.4)}},
        },
        "data": {"spec": "synthetic:200?test", "examples": 200},
    }


def fill(folder: Path, arrays: dict, metrics: dict) -> Path:
    """Writes config.json, metrics.jsonl, metrics.json and evaluation.npz."""
    config = {"system": "latents2segments", "label_set": "l2s_regions", "image_size": SIZE, "seed": 7}
    rows = [{"step": step, "time": 1e9 + step, "train/dice": 1 / (1 + step)} for step in range(20)]
    rows[10]["eval/segmentation.mean_f1"] = 0.6
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "metrics.json").write_text(json.dumps(metrics))
    np.savez(folder / "evaluation.npz", **arrays)
    return folder


@pytest.fixture
def arrays() -> dict[str, np.ndarray]:
    return whole_arrays()


@pytest.fixture
def metrics() -> dict:
    return whole_metrics()


@pytest.fixture
def workdir(tmp_path, arrays, metrics):
    """A folder with every part."""
    return fill(tmp_path, arrays, metrics)


@pytest.fixture
def report(workdir):
    """Makes the page of `workdir` and returns its text."""
    return lambda: write_report(workdir).read_text()


@pytest.fixture(scope="session")
def page(tmp_path_factory) -> str:
    """The page of a folder with every part."""
    return write_report(fill(tmp_path_factory.mktemp("whole"), whole_arrays(), whole_metrics())).read_text()
