"""Published recognition networks, with the weights of the goldens and through the converters, compute the same."""

import json
from functools import cache

import jax
import numpy as np
import pytest

from l2s_jax import config as configs
from l2s_jax.models import recognition
from l2s_jax.systems.identity_encoder import convert as identity
from l2s_jax.systems.landmark_regressor import convert as landmarks
from tests.helpers import rule
from tests.helpers.pairs import pairs

TOLERANCE = 1e-4


def pytest_generate_tests(metafunc):
    found = pairs(metafunc.config, "recognition")
    # Who names goldens wants all of them checked; the large network takes longer than a suite should.
    large = metafunc.function is test_ir_se_50 and not metafunc.config.getoption("--goldens")
    marks = [pytest.mark.slow] if large else []
    metafunc.parametrize("path", [pytest.param(path, id=content["tag"], marks=marks) for content, path in found])


@cache
def content(path):
    return json.loads(path.with_suffix(".json").read_text())


def state(path, key, prefix):
    return rule.state(content(path)["tag"], prefix, content(path)[key]["state"])


def face(path, colours):
    """The goldens' face, in [-1, 1] where `colours` has it in [0, 1]."""
    given = rule.nhwc(rule.tensor(f"{content(path)['tag']}/face112", (1, 3, 112, 112)))
    return 2 * given - 1 if colours == "unit" else given


def test_ir_se_50(path):
    config = configs.default("identity_encoder").unlock()
    head, side, variables = identity.convert_checkpoint(state(path, "arcface_ir_se50", "ArcFace"), config)
    assert (head, side, config.model.network, config.model.outputs) == ("ir_se50", 112, "ir_se50", 512)
    network = recognition.build_identity(config.model)
    with jax.default_matmul_precision("highest"):
        embedding = jax.jit(lambda v, x: recognition.embed(network, v, x))(variables, face(path, "signed"))
    golden = np.load(path)["arcface_ir_se50/embedding"]
    assert rule.relative_error(embedding, golden) <= TOLERANCE


def test_mobile_face_net(path):
    config = configs.default("landmark_regressor").unlock()
    side, variables = landmarks.convert_checkpoint(state(path, "landmark_mobilefacenet", "Landmark"), config)
    assert (side, config.model.points, config.model.width) == (112, 68, 64)
    network = recognition.build_landmarks(config.model)
    with jax.default_matmul_precision("highest"):
        points = jax.jit(lambda v, x: recognition.points(network, v, x))(variables, face(path, "unit"))
    golden = np.load(path)["landmark_mobilefacenet/output"].reshape(1, 68, 2)
    assert rule.relative_error(points, golden) <= TOLERANCE
