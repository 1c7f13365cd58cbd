"""`l2s convert`: a published checkpoint becomes a model for every command, and anything else one sentence."""

import json
import os
import pickle
from pathlib import Path

import fake_system
import jax
import numpy as np
import pytest
import torch_writer
from PIL import Image

from l2s_jax import bundle, cli
from l2s_jax.convert.segface import convert_checkpoint
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace

MODELS = json.loads((Path(__file__).parent / "data" / "goldens" / "segface.json").read_text())["models"]
SIDE = 64


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("convert")) as root:
        yield root


def weights(head):
    """Small numbers under the published names of the MobileNet variant; spread enough for several classes to win."""
    state = {}
    for i, (name, shape, _) in enumerate(MODELS[f"{head}-mobilenet-128"]["state"]):
        numbers = np.random.default_rng(i).standard_normal(shape, np.float32)
        if name.endswith("num_batches_tracked"):
            state[name] = np.int64(7)
        elif name.endswith("running_var"):
            state[name] = 0.5 + np.abs(numbers)
        elif len(shape) <= 1:
            state[name] = np.float32(name.endswith("weight")) + np.float32(0.1) * numbers
        else:
            state[name] = numbers / np.float32(np.sqrt(numbers[0].size if "token" not in name else 1))
    return state


@pytest.fixture(scope="module")
def celeb(place):
    state = weights("celeb")
    torch_writer.save(place / "model_299.pt", torch_writer.checkpoint(state))
    return state


def l2s(capsys, *argv):
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys, *argv):
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.count("\n") == 1
    assert "Traceback" not in err
    return err


def test_a_converted_model_parses_and_is_scored(capsys, place, celeb):
    argv = ["convert", "segface", "model_299.pt", "--out", "models/mobile", "--image-size", SIDE]
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    assert "SegFace, mobilenet, 19 classes of CelebAMask-HQ, 7.0" in " ".join(out.split())

    meta = bundle.read_meta("models/mobile")
    assert (meta.name, meta.system, meta.label_set.name) == ("mobile", "segface", "farl19")
    assert meta.preprocessing.image_size == meta.config["image_size"] == SIDE
    assert meta.provenance["source"]["file"] == "model_299.pt"
    assert len(meta.provenance["source"]["sha256"]) == 64
    assert "non-commercial" in meta.licence

    photo = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(photo).save(place / "photo.png")
    code, _, err = l2s(capsys, "parse", "photo.png", "--out", "masks", "--model", "mobile")
    assert (code, err) == (0, "")
    classes = np.asarray(Image.open(place / "masks" / "photo_labels.png"))
    imagenet = (photo / np.float32(255) - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    network = SegFace(backbones.build("mobilenet"), 19)
    logits = jax.jit(lambda v, x: network.apply(v, x, train=False))(convert_checkpoint(celeb)[1], imagenet[None])
    logits = np.asarray(logits[0])
    chosen = np.take_along_axis(logits, classes[..., None], axis=-1)
    assert len(np.unique(classes)) > 1
    assert np.max(logits.max(axis=-1, keepdims=True) - chosen) < 1e-2 * np.ptp(logits)  # the best, but for near ties

    argv = ["evaluate", "--model", "mobile", "--data", "synthetic:2?test", "--batch", 2, "--json", "scores.json"]
    assert l2s(capsys, *argv)[0] == 0
    scores = json.loads((place / "scores.json").read_text())
    assert tuple(scores["segmentation"]["per_class"]) == meta.label_set.names


def test_eleven_classes_need_a_head(capsys, place):
    torch_writer.save(place / "eleven.pt", torch_writer.checkpoint(weights("helen")))
    argv = ["convert", "segface", "eleven.pt", "--out", "models/eleven", "--image-size", SIDE]
    assert "have the same tensors: say --head lapa or --head helen" in refused(capsys, *argv)
    assert "its 11 classes are those of lapa or helen, not of celeb" in refused(capsys, *argv, "--head", "celeb")
    assert not Path("models/eleven").exists()
    code, out, _ = l2s(capsys, *argv, "--head", "lapa", "--name", "parts")
    assert code == 0
    assert "warped by their landmarks" in out
    meta = bundle.read_meta("models/eleven")
    assert (meta.name, meta.label_set.name) == ("parts", "lapa")


class Evil:
    def __reduce__(self):
        return os.system, ("touch executed",)


def test_what_is_not_the_checkpoint_is_one_sentence(capsys, place, celeb):
    def sentence(file, *more):
        return refused(capsys, "convert", "segface", file, "--out", "models/refused", *more)

    assert "cannot read 'missing.pt'" in sentence("missing.pt")
    (place / "cut.pt").write_bytes((place / "model_299.pt").read_bytes()[:1_000_000])
    assert "'cut.pt' is damaged or cut off" in sentence("cut.pt")
    torch_writer.write(place / "evil.pt", pickle.dumps(Evil(), 2))
    assert f"it asks for '{os.name}.system', which no weights need" in sentence("evil.pt")
    assert not Path("executed").exists()
    torch_writer.save(place / "optimiser.pt", torch_writer.checkpoint({})["optimizer"])
    assert "'optimiser.pt' holds no weights" in sentence("optimiser.pt")
    torch_writer.save(place / "other.pt", torch_writer.state_dict({"conv.weight": np.zeros((3, 3), np.float32)}))
    assert "'other.pt': these are not SegFace's weights" in sentence("other.pt")
    lacking = {name: tensor for name, tensor in celeb.items() if name != "linear_fuse.weight"}
    torch_writer.save(place / "lacking.pt", torch_writer.state_dict(lacking))
    assert "'lacking.pt': " in sentence("lacking.pt")
    assert "image_size=100 must be a multiple of 32" in sentence("model_299.pt", "--image-size", 100)
    assert not Path("models/refused").exists()
