import json
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.models.face_occ_net import FaceOccNet, pixel_shuffle
from l2s_jax.systems.structure_via_consensus.convert import convert_checkpoint

GOLDEN = Path(__file__).parents[1] / "data" / "goldens" / "structure_via_consensus.json"
STATE = json.loads(GOLDEN.read_text())["FaceOccNet"]["state"]
IMAGE = jax.ShapeDtypeStruct((2, 128, 128, 3), jnp.float32)


def published():
    """A state dict with the published names and shapes; each tensor has its own value."""
    return {
        name: np.full(shape, i, np.int64 if name.endswith("num_batches_tracked") else np.float32)
        for i, (name, shape, _) in enumerate(STATE)
    }


@pytest.fixture(scope="module")
def fresh():
    """Variables as initialised, once."""
    image = jnp.zeros((1, 20, 20, 3))
    return jax.jit(partial(FaceOccNet().init, train=False))(jax.random.key(0), image)


def test_published_size():
    logits, variables = jax.eval_shape(partial(FaceOccNet().init_with_output, train=False), jax.random.key(0), IMAGE)
    assert (logits.shape, logits.dtype) == ((2, 128, 128, 3), jnp.float32)
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == 4_524_323
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


def test_published_initialisation(fresh):
    params = fresh["params"]
    kernel = params["dec0"]["kernel"]
    np.testing.assert_allclose(kernel.std(), np.sqrt(2) * np.sqrt(2 / (9 * 1024)), rtol=0.01)
    np.testing.assert_allclose(params["enc1"]["kernel"].std(), np.sqrt(4 / (9 * (64 + 128))), rtol=0.02)
    assert not any(np.any(layer["bias"]) for layer in params.values())
    scales = np.concatenate([layer["scale"] for layer in params.values() if "scale" in layer])
    assert abs(scales.mean() - 1) < 0.002
    np.testing.assert_allclose(scales.std(), 0.02, rtol=0.1)


def test_training_moves_statistics_and_drops_features(fresh):
    image = jax.random.uniform(jax.random.key(1), (2, 20, 24, 3), minval=-1)

    @jax.jit
    def train(key):
        return FaceOccNet(dropout=0.2).apply(fresh, image, train=True, rngs={"dropout": key}, mutable=["batch_stats"])

    (first, stats), (second, _) = (train(jax.random.key(seed)) for seed in (0, 1))
    assert first.shape == (2, 20, 24, 3)
    assert np.abs(first - second).max() > 1e-3
    for name, layer in stats["batch_stats"].items():
        assert np.all(layer["mean"] != 0), name


def test_without_dropout_no_random_stream_is_needed(fresh):
    """`is_regularized` off."""
    image = jax.ShapeDtypeStruct((2, 20, 20, 3), jnp.float32)
    train = partial(FaceOccNet(dropout=0.0).apply, train=True, mutable=["batch_stats"])
    assert jax.eval_shape(train, fresh, image)[0].shape == (2, 20, 20, 3)


def test_bfloat16_logits_are_float32():
    module = FaceOccNet(classes=5, dtype=jnp.bfloat16)
    logits, variables = jax.eval_shape(partial(module.init_with_output, train=False), jax.random.key(0), IMAGE)
    assert (logits.shape, logits.dtype) == ((2, 128, 128, 5), jnp.float32)
    assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype("float32")}


@pytest.mark.parametrize("shape", [(1, 30, 32, 3), (1, 32, 16, 3)])
def test_sizes_that_do_not_fit_are_named(shape):
    with pytest.raises(UserError, match=f"{shape[2]}x{shape[1]} px"):
        jax.eval_shape(partial(FaceOccNet().init, train=False), jax.random.key(0), jax.ShapeDtypeStruct(shape, float))


def test_pixel_shuffle_is_that_of_torch():
    x = np.random.default_rng(0).normal(size=(2, 3, 4, 8)).astype(np.float32)
    ours = pixel_shuffle(jnp.asarray(x))
    assert ours.shape == (2, 6, 8, 2)
    for b, y, z, c in np.ndindex(ours.shape):
        assert ours[b, y, z, c] == x[b, y // 2, z // 2, 4 * c + 2 * (y % 2) + z % 2]


def test_every_published_tensor_has_its_place():
    state = published()
    _, variables = convert_checkpoint(state)
    ours = sorted(float(leaf.flat[0]) for leaf in jax.tree.leaves(variables))
    theirs = sorted(float(t.flat[0]) for name, t in state.items() if not name.endswith("num_batches_tracked"))
    assert ours == theirs


def test_other_numbers_of_classes():
    state = published() | {"model_class.weight": np.zeros((7, 32, 3, 3)), "model_class.bias": np.zeros(7)}
    module, variables = convert_checkpoint(state)
    assert module.classes == 7
    assert variables["params"]["classes"]["kernel"].shape == (3, 3, 32, 7)


def test_faulty_checkpoints_are_named():
    state = published()
    with pytest.raises(UserError, match=r"model_class\.weight"):
        convert_checkpoint({"conv.weight": np.zeros((3, 3))})
    with pytest.raises(UserError, match=r"no place for 'model_dec\.18\.extra'"):
        convert_checkpoint(state | {"model_dec.18.extra": np.zeros(1)})
    with pytest.raises(UserError, match="nothing for 'params/dil1_norm/scale'"):
        convert_checkpoint({name: t for name, t in state.items() if name != "model_dilation.7.weight"})
    with pytest.raises(UserError, match=r"'model_enc\.1\.weight'"):
        convert_checkpoint(state | {"model_enc.1.weight": np.zeros((64, 3, 5, 5))})
