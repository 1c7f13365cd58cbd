"""Masks that a model draws for photos without labels."""

import json

import jax
import numpy as np
import pytest
from PIL import Image

from experiments import pseudo_labels
from input_pipeline.labels import IGNORE, LAPA
from tests.helpers import fake_system, tiny_segface


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = tmp_path_factory.mktemp("pseudo")
    tiny_segface.save(root / "tiny", tiny_segface.config(model__warp="none"))
    (root / "photos").mkdir()
    for k, grey in enumerate((40, 200)):
        Image.fromarray(np.full((48, 40, 3), grey, np.uint8)).save(root / "photos" / f"{k}.png")
    return root


def test_photos_get_masks_that_ignore_what_the_model_is_not_sure_of(place):
    tiny, photos = str(place / "tiny"), str(place / "photos")
    for out, sure in (("all", "0"), ("none", "1")):
        assert pseudo_labels.main([tiny, photos, "--out", str(place / out), "--sure", sure]) == 0
    assert json.loads((place / "all" / "labels.json").read_text()) == {"label_set": "lapa", "licence": "CC0-1.0"}
    for k in range(2):
        mask = np.array(Image.open(place / "all" / "masks" / f"{k}.png"))
        assert mask.shape == (48, 40)
        assert mask.max() < len(LAPA)
        assert (np.array(Image.open(place / "none" / "masks" / f"{k}.png")) == IGNORE).all()
        assert (place / "all" / "images" / f"{k}.png").read_bytes() == (place / "photos" / f"{k}.png").read_bytes()
    mirrored, exchanged = pseudo_labels.mirrored(tiny), LAPA.flip[: len(LAPA)]
    picture = np.random.default_rng(0).integers(0, 255, (1, 32, 32, 3)).astype(np.float32) / 127.5 - 1
    predict = jax.jit(mirrored.predict)
    logits = [predict(mirrored.variables, x).logits for x in (picture, picture[:, :, ::-1])]
    np.testing.assert_allclose(logits[0], logits[1][:, :, ::-1, exchanged], atol=1e-5)


def test_what_cannot_be_labelled_is_one_sentence(place, capsys, monkeypatch):
    fake_system.install(monkeypatch)
    tiny, photos = str(place / "tiny"), str(place / "photos")
    fake_system.save(place / "other")
    (place / "empty").mkdir()
    for argv, sentence in (
        ([str(place / "other"), photos], "give one of segface"),
        ([tiny, str(place / "empty")], "holds no photos"),
        ([tiny, photos, "--out", str(place / "empty")], "exists: name a new folder"),
    ):
        out = [] if "--out" in argv else ["--out", str(place / "fresh")]
        assert pseudo_labels.main([*argv, *out]) == 2
        assert sentence in capsys.readouterr().err
    assert not (place / "fresh").exists()
