"""`l2s parse` on faces saved as PNG and `l2s evaluate` on the same data give the same scores."""

import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.labels import CELEBAMASK, remap
from l2s_jax import cli
from l2s_jax.metrics import segmentation
from tests.helpers import fake_system

FACES, SIZES = 6, (40, 56)


def test_scores_of_the_written_masks_are_those_of_the_evaluation(tmp_path):
    with fake_system.working_directory(tmp_path) as root:
        meta = fake_system.save(root / "model", label_set=CELEBAMASK, side=32)
        truths = write(root)
        batch = ["--model", "model", "--batch", "4"]
        assert cli.main(["evaluate", "--data", "folder:faces", "--json", "scores.json", *batch]) == 0
        assert cli.main(["parse", "faces/images", "--out", "masks", *batch]) == 0
        counts = 0
        for name, truth in truths.items():
            ids = np.asarray(Image.open(root / "masks" / f"{name}_labels.png"))
            counts = counts + segmentation.confusion_on_host(ids, truth, len(CELEBAMASK))
        found = segmentation.scores(counts, meta.label_set.names)
        told = json.loads((root / "scores.json").read_text())["segmentation"]["native"]
    assert found["mean_f1"] == pytest.approx(told["mean_f1"], abs=1e-6)
    assert found["pixel_accuracy"] == pytest.approx(told["pixel_accuracy"], abs=1e-6)
    for name, entry in found["per_class"].items():
        assert entry["f1"] == pytest.approx(told["per_class"][name]["f1"], abs=1e-6), name
    assert 0.05 < found["mean_f1"] < 0.9  # faces of two sizes, which the model of palette colours sees badly


def write(root) -> dict[str, np.ndarray]:
    """Write synthetic faces of two sizes in the layout `folder`; return the masks."""
    truths = {}
    for kind in ("images", "masks"):
        (root / "faces" / kind).mkdir(parents=True)
    (root / "faces" / "labels.json").write_text(json.dumps({"label_set": CELEBAMASK.name}))
    for size in SIZES:
        source = open_source(f"synthetic:{FACES // 2}?test", size=size)
        table = remap(source.label_set, CELEBAMASK)
        for number, face in enumerate(source):
            name = f"{size}_{number}"
            truths[name] = table[face["mask"]]
            Image.fromarray(face["image"][: size - 7]).save(root / "faces" / "images" / f"{name}.png")
            truths[name] = truths[name][: size - 7]
            Image.fromarray(truths[name]).save(root / "faces" / "masks" / f"{name}.png")
    return truths
