"""`l2s convert` of published recognition networks, at tiny sizes: models that the library opens and scores."""

import json
from pathlib import Path

import jax
import numpy as np
import pytest

from l2s_jax import bundle, cli
from l2s_jax.inference.model import load_model
from l2s_jax.models import recognition
from tests.helpers import fake_system, published_recognition, torch_writer

SIDE = 32


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("convert")) as root:
        yield root


def l2s(capsys, *argv):
    code = cli.main([str(word) for word in argv])
    captured = capsys.readouterr()
    return code, " ".join(captured.out.split()), captured.err


def refused(capsys, *argv):
    code, _, err = l2s(capsys, *argv)
    assert code == 2
    assert err.count("\n") == 1
    return err


def test_insightface_becomes_a_model_that_is_scored(capsys, place):
    state = published_recognition.iresnet((1, 1, 1, 2), 8, 12, SIDE // 16)
    torch_writer.save(place / "backbone.pth", torch_writer.state_dict(state))
    argv = ["convert", "identity_encoder", "backbone.pth", "--out", "models/faces"]
    assert "those of a network for 32 px, not 64: leave out --image-size" in refused(capsys, *argv, "--image-size", 64)
    assert "its tensors are those of iresnet, not of ir_se50" in refused(capsys, *argv, "--head", "ir_se50")
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    assert "Identity encoder tiny_iresnet, 12 numbers a face, of the face data sets of InsightFace" in out
    assert "aligned by five landmarks" in out
    assert "l2s parse" not in out
    meta = bundle.read_meta("models/faces")
    assert (meta.system, meta.preprocessing.image_size) == ("identity_encoder", SIDE)
    assert "non-commercial research only" in meta.licence

    model = load_model("models/faces")
    image = np.random.default_rng(0).uniform(-1, 1, (1, SIDE, SIDE, 3)).astype(np.float32)
    network = recognition.build_identity(model.config.model)
    found = jax.jit(lambda v, x: recognition.embed(network, v, x))(model.variables["network"], image)
    expected = published_recognition.iresnet_embedding(state, np.moveaxis(image, -1, 1))
    np.testing.assert_allclose(found, expected / np.linalg.norm(expected), atol=2e-5)

    argv = ["evaluate", "--model", "faces", "--batch", 4, "--json", "scores.json", "--data"]
    assert l2s(capsys, *argv, "synthetic:4/2?val")[0] == 0
    scores = json.loads((place / "scores.json").read_text())["verification"]
    assert (scores["faces"], scores["people"]) == (4, 2)
    assert 0 <= scores["auc"] <= 1
    assert "is scored by image, which these faces do not have" in refused(capsys, *argv, "random:4?val")


@pytest.mark.parametrize("depths", [(1, 1, 1, 2), (2, 1, 1, 2)])
def test_ir_se(capsys, place, depths):
    """Which of the blocks are which is all that depends on their number; the goldens check IR-SE-50 itself."""
    state = published_recognition.ir_se(depths, 8, 12, 1)
    torch_writer.save(place / "se.pth", torch_writer.state_dict(state))
    argv = ["convert", "identity_encoder", "se.pth", "--out", "models/se"]
    if sum(depths) != 5:
        assert "this IR-SE has 6 blocks: known is IR-SE-50, with 24" in refused(capsys, *argv)
        return
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    assert "tiny_ir_se, 12 numbers a face, of MS1M" in out
    assert bundle.read_meta("models/se").preprocessing.image_size == 16


def test_mobile_face_net(capsys, place):
    state = published_recognition.mobile_face_net((1, 0, 0), 8, 136, SIDE // 16)
    saved = {f"module.{name}": array for name, array in state.items()}
    torch_writer.save(place / "landmarks.pth.tar", {"epoch": 3, "state_dict": torch_writer.state_dict(saved)})
    argv = ["convert", "landmark_regressor", "landmarks.pth.tar", "--out", "models/points"]
    code, out, _ = l2s(capsys, *argv)
    assert code == 0
    assert "MobileFaceNet, 68 landmarks of 300-W" in out
    meta = bundle.read_meta("models/points")
    assert (meta.system, meta.preprocessing.image_size) == ("landmark_regressor", SIDE)
    assert meta.licence.startswith("unknown")
    assert l2s(capsys, "evaluate", "--model", "points", "--data", "synthetic:2?val", "--json", "points.json")[0] == 0
    scores = json.loads((place / "points.json").read_text())["landmarks"]
    assert scores["nme"] > scores["mean_shape"]["nme"] >= 0
    lacking = {name: array for name, array in state.items() if name != "conv_6_sep.prelu.weight"}
    torch_writer.save(place / "lacking.pth", torch_writer.state_dict(lacking))
    argv[2] = "lacking.pth"
    assert "nothing for 'params/head_prelu/slope'" in refused(capsys, *argv)


@pytest.mark.parametrize(
    ("system", "sentence"),
    [
        ("identity_encoder", "not the weights of an identity encoder: neither InsightFace's iresnet nor"),
        ("landmark_regressor", "not the weights of a landmark regressor: the only one known is MobileFaceNet"),
    ],
)
def test_other_weights_are_one_sentence(capsys, place, system, sentence):
    torch_writer.save(place / "other.pth", torch_writer.state_dict({"conv1.weight": np.zeros((3, 3), np.float32)}))
    assert sentence in refused(capsys, "convert", system, "other.pth", "--out", "models/other")
    assert not Path("models/other").exists()
