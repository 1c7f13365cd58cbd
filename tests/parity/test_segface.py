"""SegFace with the weights of the goldens computes what the published code computes, and so do its losses."""

from functools import cache

import jax
import numpy as np
import pytest

from tests.helpers import rule
from tests.helpers.pairs import pairs
from tests.helpers.published_segface import Loss, Published

TOLERANCE = 1e-4
# LaPa's network sees the image through a warp by landmarks, which is not part of these entries' networks.
HEADS = ("celeb", "helen")
LIGHT = ("mobilenet", "resnet")  # seconds; the default suite has these, `pytest -m slow` all of them


def pytest_generate_tests(metafunc):
    # Who names goldens wants all of them checked.
    named = bool(metafunc.config.getoption("--goldens"))
    cases = []
    for content, path in pairs(metafunc.config, "segface"):
        for key in np.load(path).files:
            head, _, rest = key.partition("-")
            if key.startswith("loss/") or head in HEADS:
                heavy = not (named or key.startswith("loss/") or rest.startswith(LIGHT))
                marks = [pytest.mark.slow] if heavy else []
                cases.append(pytest.param(path, key, id=f"{content['tag']}-{key}", marks=marks))
    metafunc.parametrize(("path", "key"), cases)


@cache
def model(path, name):
    return Loss(path) if name == "loss" else Published(path, name)


def test_golden(path, key):
    golden = np.load(path)[key]
    name, _, entry = key.partition("/")
    with jax.default_matmul_precision("highest"):
        ours = model(path, name).ours(entry, golden)
    assert rule.relative_error(ours, golden) <= TOLERANCE
