"""Mapper, discriminator of codes and reconstruction loss, with the weights of the goldens, compute the published."""

import json
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.losses.adversarial import r1
from l2s_jax.losses.identity import pixel_mask, reconstruction_loss
from l2s_jax.losses.ssim import ms_ssim
from l2s_jax.systems.id_disentanglement.convert import convert_discriminator, convert_mapper
from tests.helpers import rule
from tests.helpers.pairs import pairs

TOLERANCE = 1e-4


def pytest_generate_tests(metafunc):
    found = pairs(metafunc.config, "id_disentanglement")
    metafunc.parametrize("path", [pytest.param(path, id=content["tag"]) for content, path in found])


@cache
def content(path):
    return json.loads(path.with_suffix(".json").read_text())


def state(path, key, prefix):
    return rule.state(content(path)["tag"], prefix, content(path)[key]["state"])


@cache
def images(path):
    """The goldens' two pictures of 192 px, in [-1, 1]: noise, and the same with a tenth as much other noise."""
    tag, shape = content(path)["tag"], (2, 3, 192, 192)
    first = rule.tensor(f"{tag}/ssim_a", shape, "uniform")
    second = np.clip(first + 0.1 * rule.tensor(f"{tag}/ssim_b", shape), 0, 1)
    return [2 * rule.nhwc(x) - 1 for x in (first, second)]


def test_discriminator_of_codes(path):
    """The goldens' codes are those of their StyleGAN2."""
    golden = np.load(path)
    module, variables = convert_discriminator(state(path, "w_discriminator", "WD"))
    codes, judge = jnp.asarray(golden["stylegan2/w"]), partial(module.apply, variables)
    with jax.default_matmul_precision("highest"):
        logits, penalty = jax.jit(lambda w: (judge(w), r1(judge, w)))(codes)
    assert rule.relative_error(logits, golden["w_discriminator/logit"][:, 0]) <= TOLERANCE
    assert rule.relative_error(penalty, golden["w_discriminator/r1"]) <= TOLERANCE


def test_mapper(path):
    """Against the tensors themselves, layer by layer in float64: what the goldens' mapper was fed is not on record."""
    tensors = state(path, "mapper", "M")
    module, variables = convert_mapper(tensors)
    x = rule.tensor("mapper", (2, 2560))
    expected = np.float64(x)
    for number in (0, 2, 4, 6):
        expected = expected @ tensors[f"model.{number}.weight"].T + tensors[f"model.{number}.bias"]
        expected = np.where((expected > 0) | (number == 6), expected, 0.2 * expected)
    with jax.default_matmul_precision("highest"):
        code = jax.jit(module.apply)(variables, x[:, :512], x[:, 512:])
    assert rule.relative_error(code, expected) <= TOLERANCE
    assert code.shape == np.load(path)["mapper/w"].shape


def test_reconstruction(path):
    first, second = images(path)
    golden = np.load(path)
    with jax.default_matmul_precision("highest"):
        similarity = jnp.mean(jax.jit(ms_ssim)(second, first))
        mask = pixel_mask(192, "uniform")
        loss = partial(reconstruction_loss, alpha=0.84, mask=mask, summed=False)
        value = jax.jit(lambda x, y: loss(x, y, jnp.ones(2), lambda sums: sums))(second, first)
    assert rule.relative_error(similarity, golden["ms_ssim"]) <= TOLERANCE
    assert rule.relative_error(value, golden["reconstruction_loss"]) <= TOLERANCE


def test_other_tensors_are_refused(path):
    with pytest.raises(UserError, match=r"model\.0\.weight"):
        convert_mapper({"head.weight": np.zeros((2, 3), np.float32)})
    tensors = state(path, "w_discriminator", "WD")
    del tensors["model.4.bias"]
    with pytest.raises(UserError, match=r"model\.4\.bias|dense_2"):
        convert_discriminator(tensors)
