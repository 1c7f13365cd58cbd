"""Our networks, with the weights of the goldens, compute what the published code computes: every stored array."""

from functools import cache

import jax
import pytest

from tests.helpers import rule
from tests.helpers.pairs import pairs
from tests.helpers.published_stylegan2 import Published, keys

TOLERANCE = 1e-4


def pytest_generate_tests(metafunc):
    found = pairs(metafunc.config, "stylegan2")
    # Who names goldens wants all of them checked; the full-size networks take longer than a suite should.
    slow = [] if metafunc.config.getoption("--goldens") else [pytest.mark.slow]
    cases = [
        pytest.param(path, key, id=f"{content['tag']}-{key}", marks=slow)
        for content, path in found
        for key in keys(path)
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
