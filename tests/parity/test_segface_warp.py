"""LaPa's published network, which sees faces through a warp around their landmarks."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.layers import tanh_warp
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace
from tests.helpers import rule
from tests.helpers.pairs import pairs
from tests.helpers.published_segface import Published

TOLERANCE = 1e-4
CONVENTION = tanh_warp.CONVENTIONS["published"]
LIGHT = "mobilenet"


def pytest_generate_tests(metafunc):
    cases = []
    named = bool(metafunc.config.getoption("--goldens"))
    for content, path in pairs(metafunc.config, "segface"):
        for model in content["models"]:
            if model.startswith("lapa-"):
                light = named or model.startswith(f"lapa-{LIGHT}")
                marks = [] if light else [pytest.mark.slow]
                cases.append(pytest.param(path, model, id=f"{content['tag']}-{model}", marks=marks))
    metafunc.parametrize(("path", "model"), cases)


@cache
def warped(path, model):
    """(golden arrays by their names, the published network, matrices, warped image)."""
    with np.load(path) as file:
        golden = {key.partition("/")[2]: file[key] for key in file.files if key.startswith(f"{model}/")}
    published = Published(path, model)
    side = int(published.size)
    image = rule.nhwc(rule.tensor(f"{published.tag}/{published.prefix}/image", (1, 3, side, side)))
    matrices = tanh_warp.alignment(jnp.asarray(golden["landmarks"]), side, CONVENTION)
    return golden, published, matrices, tanh_warp.warp(jnp.asarray(image), matrices, CONVENTION)


def test_warp(path, model):
    golden, _, matrices, image = warped(path, model)
    assert rule.relative_error(matrices, golden["warp_matrix"][:, :2]) <= TOLERANCE
    seen = rule.strided(rule.nchw(image), golden["warped_image"])
    assert rule.relative_error(seen, golden["warped_image"]) <= TOLERANCE


def test_logits_in_the_pixels_of_the_picture(path, model):
    golden, published, matrices, image = warped(path, model)
    module = SegFace(backbones.build(published.published.backbone), published.published.classes)
    with jax.default_matmul_precision("highest"):
        logits = jax.jit(lambda variables, image: module.apply(variables, image, train=False))(
            published.variables, image
        )
    ours = rule.strided(rule.nchw(tanh_warp.unwarp(logits, matrices, CONVENTION)), golden["logits"])
    assert rule.relative_error(ours, golden["logits"]) <= TOLERANCE
