"""Our networks, with the weights of the goldens, compute what the published code computes: every stored array."""

from functools import cache

import jax
import numpy as np
import pytest

from tests.helpers import rule
from tests.helpers.pairs import pairs
from tests.helpers.published_l2s import Published

TOLERANCE = 1e-4
HEAVY = "grad_"  # gradients through all decodes at full size


def pytest_generate_tests(metafunc):
    found = pairs(metafunc.config, "latents2segments")
    # Who names goldens wants all of them checked.
    slow = [] if metafunc.config.getoption("--goldens") else [pytest.mark.slow]
    cases = [
        pytest.param(path, key, id=f"{content['tag']}-{key}", marks=slow if key.startswith(HEAVY) else [])
        for content, path in found
        for key in np.load(path).files
    ]
    metafunc.parametrize(("path", "key"), cases)


@cache
def published(path):
    return Published(path)


def test_golden(path, key):
    golden = published(path)
    with jax.default_matmul_precision("highest"):
        ours = golden.ours(key)
    assert rule.relative_error(ours, golden.arrays[key]) <= TOLERANCE
