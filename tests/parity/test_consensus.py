"""The consensus loss and FaceOccNet with the weights of the goldens compute what the published code computes."""

import json
import re
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.losses.consensus import published_consensus
from l2s_jax.systems.structure_via_consensus.convert import convert_checkpoint
from tests.helpers import rule
from tests.helpers.pairs import pairs

LOGITS_TOLERANCE, VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-4, 1e-5, 1e-4
NETWORK = "FaceOccNet"


def pytest_generate_tests(metafunc):
    """Cases (npz, prefix, ...): the loss terms CASE/REDUCE/aALPHAbBETA, in both summations, or the network."""
    found = pairs(metafunc.config, "structure_via_consensus")
    if "summation" in metafunc.fixturenames:
        keys = [(path, c["tag"], key.removesuffix("/loss")) for c, path in found for key in np.load(path).files]
        keys = [entry for entry in keys if f"{entry[2]}/loss" in np.load(entry[0]).files]
        cases = [
            pytest.param(path, key, summation, id=f"{tag}-{key}-{summation}")
            for path, tag, key in dict.fromkeys(keys)
            for summation in ("segment", "matmul")
        ]
        metafunc.parametrize(("path", "key", "summation"), cases)
    else:
        metafunc.parametrize("path", [pytest.param(path, id=content["tag"]) for content, path in found])


@cache
def content(path):
    return json.loads(path.with_suffix(".json").read_text())


@cache
def compiled(path, case, reduce, summation):
    """(alpha, beta) -> (value, NCHW gradient) for the logits of a case."""
    arrays, entry = np.load(path), content(path)[case]
    logits = jnp.asarray(entry["scale"] * rule.nhwc(rule.tensor(entry["logits"], tuple(entry["shape"]))), jnp.float32)
    mask, blobs = (jnp.asarray(arrays[f"{case}/{name}"], jnp.int32) for name in ("labels", "blobs"))
    rest = (mask, blobs, jnp.ones(len(mask)), lambda sums: sums)
    loss = partial(published_consensus, max_blobs=int(blobs.max()) + 1, reduce=reduce, summation=summation)
    run = jax.jit(jax.value_and_grad(lambda x, alpha, beta: loss(x, *rest, alpha=alpha, beta=beta)))
    return lambda alpha, beta: run(logits, alpha, beta)


def test_loss(path, key, summation):
    case, reduce, factors = key.split("/")
    alpha, beta = map(float, re.fullmatch(r"a([\d.]+)b([\d.]+)", factors).groups())
    value, gradient = compiled(path, case, reduce, summation)(alpha, beta)
    arrays = np.load(path)
    assert rule.relative_error(value, arrays[f"{key}/loss"]) <= VALUE_TOLERANCE
    golden = arrays[f"{key}/grad"]
    if np.all(np.isfinite(golden)):
        assert rule.relative_error(rule.nchw(gradient), golden) <= GRADIENT_TOLERANCE
    else:
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


def test_logits(path):
    tag, entry, golden = content(path)["tag"], content(path)[NETWORK], np.load(path)[f"{NETWORK}/logits"]
    module, variables = convert_checkpoint(rule.state(tag, NETWORK, entry["state"]))
    image = jnp.asarray(rule.nhwc(rule.tensor(entry["image"], tuple(entry["shape"]))))
    with jax.default_matmul_precision("highest"):
        logits = jax.jit(partial(module.apply, train=False))(variables, image)
    assert rule.relative_error(rule.strided(rule.nchw(logits), golden), golden) <= LOGITS_TOLERANCE


def test_every_parameter_is_counted(path):
    entry = content(path)[NETWORK]
    _, variables = convert_checkpoint(rule.state(content(path)["tag"], NETWORK, entry["state"]))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == entry["params"]
