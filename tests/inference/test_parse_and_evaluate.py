"""`l2s parse` on faces saved as PNG and `l2s evaluate` on the same data give the same scores."""

import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.labels import remap
from l2s_jax import cli
from l2s_jax.metrics import segmentation
from l2s_jax.report import overlays
from tests.helpers import fake_system

LABELS = fake_system.LABELS
FACES, SIZES = 3, (40, 56)


def test_scores_of_the_written_masks_are_those_of_the_evaluation(tmp_path):
    with fake_system.working_directory(tmp_path) as root:
        fake_system.save(root / "model", codec="none", side=32)
        truths = write(root)
        batch = ["--model", "model", "--batch", "4"]
        assert cli.main(["evaluate", "--data", "folder:faces", "--json", "scores.json", *batch]) == 0
        assert cli.main(["parse", "faces/images", "--out", "masks", "--crop", "none", *batch]) == 0
        counts = 0
        for name, truth in truths.items():
            ids = np.asarray(Image.open(root / "masks" / f"{name}_labels.png"))
            counts = counts + segmentation.confusion_on_host(ids, truth, len(LABELS))
        told = json.loads((root / "scores.json").read_text())["segmentation"]["native"]
    found = segmentation.scores(counts, LABELS.names)
    for score in ("mean_f1", "mean_iou", "pixel_accuracy"):
        assert found[score] == pytest.approx(told[score], abs=1e-6)
    for name, entry in found["per_class"].items():
        assert entry["f1"] == pytest.approx(told["per_class"][name]["f1"], abs=1e-6), name
    assert 0.5 < found["mean_f1"] < 0.99


def write(root) -> dict[str, np.ndarray]:
    """Write synthetic faces of two sizes, oblong, tinted so that the model sees their classes; return the masks."""
    truths = {}
    for kind in ("images", "masks"):
        (root / "faces" / kind).mkdir(parents=True)
    (root / "faces" / "labels.json").write_text(json.dumps({"label_set": LABELS.name}))
    for size in SIZES:
        source = open_source(f"synthetic:{FACES}?test", size=size)
        for number, face in enumerate(source):
            name, truth = f"{size}_{number}", remap(source.label_set, LABELS)[face["mask"]][: size - 7]
            image = overlays.overlay(face["image"][: size - 7], truth, LABELS, alpha=0.8, outline=False)
            Image.fromarray(image).save(root / "faces" / "images" / f"{name}.png")
            Image.fromarray(truth).save(root / "faces" / "masks" / f"{name}.png")
            truths[name] = truth
    return truths
