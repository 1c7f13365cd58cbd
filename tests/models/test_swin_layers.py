"""Window attention and patch merging against dense numpy formulas that know no windows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.models.backbones.swin import PatchMerging, WindowAttention, two_by_two
from l2s_jax.models.backbones.swin_v2 import CosineWindowAttention, PatchMergingV2, log_coordinates
from l2s_jax.models.backbones.windows import ShiftedWindows, pairwise, relative_positions
from tests.helpers.random_weights import random_variables

HEADS, CHANNELS = 2, 6


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def all_pairs_attention(x, params, window, shift, scores, table):
    """Attention over ALL tokens of the padded map [P, C]; pairs in different windows get -inf."""
    height, width, channels = x.shape
    rows, columns = (-(-side // window) * window for side in (height, width))
    shifts = [shift if side > window else 0 for side in (rows, columns)]
    padded = np.zeros((rows, columns, channels))
    padded[:height, :width] = x
    tokens = padded.reshape(-1, channels)
    at = np.stack(np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij"), -1).reshape(-1, 2)
    rolled = (at - shifts) % [rows, columns]
    same_window = (rolled[:, None] // window == rolled[None] // window).all(-1)
    wrapped = at < shifts
    neighbours = (wrapped[:, None] == wrapped[None]).all(-1)
    offset = np.clip(rolled[:, None] - rolled[None] + window - 1, 0, 2 * window - 2)

    qkv = tokens @ params["qkv"]["kernel"] + params["qkv"]["bias"]
    query, key, value = np.moveaxis(qkv.reshape(len(tokens), 3, HEADS, -1), (1, 2), (0, 1))
    logits = scores(query, key) + np.moveaxis(table[offset[..., 0], offset[..., 1]], -1, 0)
    logits = np.where(same_window, logits + np.where(neighbours, 0, -100), -np.inf)
    mixed = np.moveaxis(softmax(logits) @ value, 0, 1).reshape(len(tokens), channels)
    y = mixed @ params["project"]["kernel"] + params["project"]["bias"]
    return y.reshape(rows, columns, channels)[:height, :width]


# Padded in both directions, one window high, smaller than a window, no padding.
SIZES = [(5, 8), (3, 7), (2, 2), (6, 9)]


def attention_pair(module, size):
    x = jnp.asarray(np.random.default_rng(2).normal(size=(2, *size, CHANNELS)), jnp.float32)
    variables = random_variables(module, x)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
    return np.asarray(x, np.float64), params, jax.jit(module.apply)(variables, x)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shift", [0, 1])
def test_window_attention(size, shift):
    x, params, ours = attention_pair(WindowAttention(HEADS, 3, shift), size)
    scores = lambda q, k: q @ np.swapaxes(k, -1, -2) / np.sqrt(CHANNELS // HEADS)  # noqa: E731
    expected = [all_pairs_attention(image, params, 3, shift, scores, params["relative_bias"]) for image in x]
    np.testing.assert_allclose(ours, expected, atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
def test_cosine_window_attention(size):
    x, params, ours = attention_pair(CosineWindowAttention(HEADS, 3, 1), size)
    params["qkv"]["bias"][CHANNELS : 2 * CHANNELS] = 0
    steps = np.array([-1.0, -0.5, 0.0, 0.5, 1.0]) * 8
    steps = np.sign(steps) * np.log2(1 + np.abs(steps)) / 3
    at = np.stack([np.tile(steps[:, None], (1, 5)), np.tile(steps, (5, 1))], -1)
    hidden = np.maximum(at @ params["position_hidden"]["kernel"] + params["position_hidden"]["bias"], 0)
    table = 16 / (1 + np.exp(-(hidden @ params["position_bias"]["kernel"])))

    def scores(query, key):
        unit = [t / np.maximum(np.linalg.norm(t, axis=-1, keepdims=True), 1e-12) for t in (query, key)]
        scale = np.exp(np.minimum(params["logit_scale"], np.log(100)))
        return unit[0] @ np.swapaxes(unit[1], -1, -2) * scale[:, None, None]

    expected = [all_pairs_attention(image, params, 3, 1, scores, table) for image in x]
    np.testing.assert_allclose(ours, expected, atol=2e-4)


def test_cosine_scale_is_clamped_and_padding_has_a_finite_gradient():
    module = CosineWindowAttention(HEADS, 3, 1)
    x = jnp.asarray(np.random.default_rng(3).normal(size=(1, 4, 4, CHANNELS)), jnp.float32)
    variables = random_variables(module, x)
    outputs, apply = [], jax.jit(module.apply)
    for scale in (np.log(100.0), 9.0):
        variables["params"]["logit_scale"] = jnp.full(HEADS, scale, jnp.float32)
        outputs.append(apply(variables, x))
    np.testing.assert_array_equal(*outputs)
    gradient = jax.jit(jax.grad(lambda v: jnp.sum(module.apply(v, x) ** 2)))(variables)["params"]
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    np.testing.assert_array_equal(gradient["qkv"]["bias"][CHANNELS : 2 * CHANNELS], np.zeros(CHANNELS))


@pytest.mark.parametrize("window", [2, 5])
def test_pairwise_spreads_the_values_of_the_table(window):
    table = np.random.default_rng(4).normal(size=(2 * window - 1, 2 * window - 1, 3)).astype(np.float32)
    looked_up = table.reshape(-1, 3)[relative_positions(window)].reshape(window**2, window**2, 3)
    np.testing.assert_array_equal(pairwise(jnp.asarray(table), window), np.moveaxis(looked_up, -1, 0))
    for query, key in ((0, 0), (1, window), (window**2 - 1, 0)):
        row, column = (q - k + window - 1 for q, k in zip(divmod(query, window), divmod(key, window), strict=True))
        np.testing.assert_array_equal(looked_up[query, key], table[row, column])


def test_cutting_and_joining_is_the_identity():
    x = jnp.arange(2 * 5 * 7 * 3, dtype=jnp.float32).reshape(2, 5, 7, 3)
    cut = ShiftedWindows(5, 7, 4, 2)
    assert cut.split(x).shape == (2, 4, 16, 3)
    np.testing.assert_array_equal(cut.join(cut.split(x)), x)


def test_log_coordinates_are_odd_and_end_at_about_one():
    table = log_coordinates(8)
    assert table.shape == (15, 15, 2)
    np.testing.assert_array_equal(table, -table[::-1, ::-1])
    np.testing.assert_allclose(table[-1, 7], [np.log2(9) / 3, 0], rtol=1e-6)


@pytest.mark.parametrize("size", [(4, 6), (5, 3)])
def test_two_by_two(size):
    x = np.random.default_rng(5).normal(size=(2, *size, 3)).astype(np.float32)
    even = np.zeros((2, size[0] + size[0] % 2, size[1] + size[1] % 2, 3), np.float32)
    even[:, : size[0], : size[1]] = x
    corners = [even[:, 0::2, 0::2], even[:, 1::2, 0::2], even[:, 0::2, 1::2], even[:, 1::2, 1::2]]
    np.testing.assert_array_equal(two_by_two(jnp.asarray(x)), np.concatenate(corners, -1))


@pytest.mark.parametrize(("merging", "normalises"), [(PatchMerging, 4), (PatchMergingV2, 2)])
def test_patch_merging(merging, normalises):
    x = jnp.asarray(np.random.default_rng(6).normal(size=(1, 3, 4, 5)), jnp.float32)
    variables = random_variables(merging(), x)
    params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])

    def norm(y):
        assert y.shape[-1] == normalises * 5
        y = (y - y.mean(-1, keepdims=True)) / np.sqrt(y.var(-1, keepdims=True) + 1e-5)
        return y * params["norm"]["scale"] + params["norm"]["bias"]

    y = np.asarray(two_by_two(x), np.float64)
    y = norm(y) @ params["reduce"]["kernel"] if normalises == 4 else norm(y @ params["reduce"]["kernel"])
    np.testing.assert_allclose(jax.jit(merging().apply)(variables, x), y, atol=1e-4)
