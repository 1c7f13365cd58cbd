"""The study of robustness: its scores by hand, its conditions, and a run on a model with weights of no training."""

import json

import jax
import numpy as np
import pytest

from experiments import calibrate, model_card, robustness
from input_pipeline.datasets import open_source
from input_pipeline.labels import CELEBAMASK
from l2s_jax import bundle, recipe, systems
from l2s_jax.inference.model import load_model
from tests.helpers import fake_system, tiny_segface

SIDE = 64
FACES = open_source("synthetic:4?val", size=SIDE)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A tiny parser with the light decoder."""
    config = tiny_segface.config(
        label_set="celebamask", image_size=SIDE, model__backbone="tiny_mini", model__pyramid=(8, 8, 8)
    )
    system = systems.build(config)
    variables = system.variables(jax.jit(system.init)(jax.random.key(0)))
    path = tmp_path_factory.mktemp("robustness") / "model"
    bundle.save(path, variables, recipe.describe(config, system, "tiny", 1, {"synthetic:4": ""}))
    return path


def test_merged_classes_forgive_confusion_within_a_group_only():
    counts = np.zeros((19, 19), np.int64)
    names = CELEBAMASK.names
    skin, ear, neck, cloth, hair = (CELEBAMASK[name] for name in ("skin", "l_ear", "neck", "cloth", "hair"))
    counts[skin, ear], counts[neck, skin], counts[cloth, 0], counts[hair, cloth] = 5, 5, 7, 4
    scores = robustness.merged_scores(counts, names)
    assert scores["per_class"]["face"]["f1"] == 1
    assert scores["per_class"]["hair"]["f1"] == 0


def test_every_condition_gives_a_picture_of_the_networks_size_and_changes_it():
    face = FACES[0]
    shown = {}
    for name, changes in robustness.conditions(SIDE).items():
        example = face
        for change in changes:
            example = change(example, np.random.default_rng(0))
        assert example["image"].shape == (SIDE, SIDE, 3)
        assert example["mask"].shape == (SIDE, SIDE)
        assert example["image"].dtype == np.uint8
        shown[name] = example
    plain = shown.pop("as it is")
    assert all((each["image"] != plain["image"]).mean() > 0.01 for each in shown.values())
    assert (shown["hidden by patches"]["mask"] == robustness.HIDDEN).mean() > 0.005
    assert shown["a quarter of the light"]["image"].mean() == pytest.approx(plain["image"].mean() / 4, abs=1)


def test_the_study_prints_and_writes_a_row_for_every_condition(model, tmp_path, capsys):
    assert robustness.main([str(model), "--data", "synthetic:3?val", "--json", str(tmp_path / "r.json")]) == 0
    written = json.loads((tmp_path / "r.json").read_text())
    assert list(written["scores"]) == [*robustness.conditions(SIDE), "mean mask"]
    assert all(0 <= row["mean_f1"] <= 1 for row in written["scores"].values())
    assert 0 <= written["scores"]["hidden by patches"]["hidden_as_face"] <= 1
    assert "hidden by patches" in capsys.readouterr().out
    page, argv = tmp_path / "tiny.md", [str(model), "--robustness", str(tmp_path / "r.json")]
    assert model_card.main([*argv, "--out", str(page)]) == 0
    text = page.read_text()
    plain = written["scores"]["as it is"]
    assert f"| as it is | {plain['mean_f1']:.3f} | {plain['challenge']:.3f} | {plain['merged']:.3f} |  |" in text
    assert f"| hair | {plain['per_class']['hair']:.3f} |" in text
    assert "3 faces of `synthetic:3?val`" in text
    page.write_text(text.replace("3 faces", "4 faces") + "\n## Tried\n\nMuch.\n")
    assert model_card.main([*argv, "--out", str(page)]) == 0
    assert page.read_text() == text + "\n## Tried\n\nMuch.\n"


def test_a_card_needs_its_numbers(model, tmp_path, capsys):
    argv = [str(model), "--robustness", str(tmp_path / "none.json"), "--out", str(tmp_path / "card.md")]
    assert model_card.main(argv) == 2
    assert "none.json' cannot be used: No such file" in capsys.readouterr().err
    assert not (tmp_path / "card.md").exists()


def test_the_fitted_temperature_is_known_for_logits_that_are_twice_too_large(model, tmp_path, capsys):
    """Logits 2 log(share of a class), whatever the picture: T = 2 makes them the true probabilities."""
    before = load_model(model)
    masks = [robustness.conditions(SIDE)["as it is"][0](face, np.random.default_rng(0))["mask"] for face in FACES]
    share = np.bincount(np.ravel(masks), minlength=len(CELEBAMASK)) / np.size(masks)
    layer = {
        "kernel": np.zeros_like(before.variables["network"]["params"]["decoder"]["classifier"]["kernel"]),
        "bias": np.tile(2 * np.log(np.maximum(share, 1e-9)), 4).astype(np.float32),
    }
    params = before.variables["network"]["params"]
    network = before.variables["network"] | {"params": params | {"decoder": params["decoder"] | {"classifier": layer}}}
    bundle.save(tmp_path / "loud", before.variables | {"network": network}, before.meta)
    argv = [str(tmp_path / "loud"), "--data", "synthetic:4?val", "--out", str(tmp_path / "calm")]
    assert calibrate.main(argv) == 0
    after = load_model(tmp_path / "calm")
    assert after.meta.provenance["calibration"]["temperature"] == pytest.approx(2, abs=0.01)
    assert "temperature 2.00" in capsys.readouterr().out
    found = after.variables["network"]["params"]["decoder"]["classifier"]["bias"]
    np.testing.assert_allclose(found, layer["bias"] / 2, rtol=0.01)


def test_a_model_without_such_a_layer_is_refused(tmp_path, monkeypatch, capsys):
    fake_system.install(monkeypatch)
    fake_system.save(tmp_path / "fake")
    argv = [str(tmp_path / "fake"), "--data", "synthetic:4?val", "--out", str(tmp_path / "calm")]
    assert calibrate.main(argv) == 2
    assert "has no layer network.params.decoder.classifier" in capsys.readouterr().err
    assert not (tmp_path / "calm").exists()
