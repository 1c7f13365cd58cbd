"""The engine of ONNX Runtime parses as that of JAX."""

import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import cli
from l2s_jax.inference.onnx_parser import OnnxParser
from l2s_jax.inference.parser import Parser
from tests.helpers import fake_system


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with fake_system.working_directory(tmp_path_factory.mktemp("onnx")) as root:
        fake_system.save(root / "models" / "tiny")
        yield root


def test_both_engines_parse_alike(place):
    pictures = [
        np.random.default_rng(0).integers(0, 256, (h, w, 3), np.uint8) for h, w in ((16, 16), (40, 25), (9, 30))
    ]
    for theirs, ours in zip(OnnxParser("tiny")(pictures), Parser("tiny")(pictures), strict=True):
        np.testing.assert_array_equal(theirs.ids, ours.ids)
        np.testing.assert_allclose(theirs.confidence, ours.confidence, rtol=0, atol=1e-5)


def test_it_does_not_align(place):
    with pytest.raises(UserError, match="ONNX Runtime does not align"):
        OnnxParser("tiny")(np.zeros((16, 16, 3), np.uint8), np.zeros((5, 2)))


def test_the_command_takes_it(capsys, place):
    from PIL import Image

    Image.fromarray(fake_system.painted(40, 30)[0]).save(place / "a.png")
    for engine in ("xla", "onnx"):
        assert cli.main(["parse", "a.png", "--model", "tiny", "--engine", engine, "--out", engine]) == 0
    capsys.readouterr()
    labels = [np.asarray(Image.open(place / engine / "a_labels.png")) for engine in ("xla", "onnx")]
    np.testing.assert_array_equal(*labels)
