"""Identity encoders and landmark regressors as systems: steps on every layout, learning, scores, first weights."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax.metrics.landmark_error import landmark_scores
from l2s_jax.metrics.verification import verification
from l2s_jax.models import recognition
from l2s_jax.models.recognition.residual import iresnet
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers import tiny_recognition as tiny
from tests.helpers.steps import check_moments, compiled, copied, difference, numbered, one_device

BOTH = ("identity_encoder", "landmark_regressor")
ROWS = 8


@functools.cache
def built(name):
    return systems.build(tiny.config(name))


@functools.cache
def fresh(name):
    """(system, its first state); that of identities has batch normalisation, in the one block of its network."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(recognition.IDENTITY, "tiny_iresnet", functools.partial(iresnet, (1,)))
        system = systems.build(tiny.config(name, **(tiny.BATCH_NORM[name] if name == "identity_encoder" else {})))
    return system, parallel.init_state(system.init, jax.random.key(0), one_device())


def padded_faces():
    batch = tiny.faces(ROWS)
    return batch | {"weight": np.array([1, 1, 0, 1, 1, 1, 1, 1], np.float32)}


@functools.cache
def after_one(name, mode, devices):
    system, state = fresh(name)
    mesh = parallel.make_mesh(mode, 1, jax.devices()[:devices])
    step = parallel.data_parallel(system.steps["train"], mesh, mode)
    state, metrics = step(parallel.put_state(copied(state), mesh), parallel.global_batch(padded_faces(), mesh))
    return jax.device_get((state.opt_state, state.stats, metrics))


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("identity_encoder", "shard_map"),
        ("landmark_regressor", "jit"),
        pytest.param("landmark_regressor", "pmap", marks=pytest.mark.slow),
    ],
)
def test_every_layout_takes_the_same_step(name, mode):
    """Batch statistics are those of all rows, and so are their gradients."""
    expected, found = after_one(name, "jit", 1), after_one(name, mode, 2)
    check_moments(found[0], expected[0], rtol=2e-3, noise=1e-5)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found[1:], expected[1:])
    if name == "identity_encoder":
        assert difference(found[1], fresh(name)[1].stats) > 1e-3


def trained(name, steps=60):
    system = built(name)
    step = compiled(system.steps["train"])
    state = parallel.init_state(system.init, jax.random.key(0), one_device())
    for number in range(steps):
        state, metrics = step(state, tiny.faces(32, seed=number))
    return system, state, metrics


@functools.cache
def learned(name):
    system, state, metrics = trained(name)
    return system, state, metrics, parallel.everywhere(system.variables(state))


def scored(system, batch, *variables):
    """What the scorer collects of a batch, with each of some variables."""
    collect = jax.jit(system.scorer.collect)
    return [jax.device_get(collect(each, batch)) for each in variables]


def test_an_identity_encoder_learns_to_tell_people_apart():
    system, _, metrics, variables = learned("identity_encoder")
    assert metrics["accuracy"] == 1
    batch = tiny.faces(24, seed=1000)
    untrained = system.scorer.untrained(variables, jax.random.key(1))
    rows, before = scored(system, batch, variables, untrained)
    np.testing.assert_allclose(np.linalg.norm(rows["embedding"], axis=1), 1, rtol=1e-5)
    summary = system.scorer.summary(rows, before)["verification"]
    json.dumps(summary, allow_nan=False)
    assert summary["auc"] > 0.95
    assert summary["cosine_same"] > summary["cosine_different"] + 0.3
    assert (summary["faces"], summary["people"]) == (24, tiny.PEOPLE)
    assert summary["untrained"] == verification(before["embedding"], batch["identity"])
    blocks = batch["image"].reshape(24, 8, 2, 8, 2, 3).mean((2, 4)).reshape(24, -1)
    expected = verification(blocks - blocks.mean(0, keepdims=True), batch["identity"])
    assert summary["pixels"] == pytest.approx(expected, abs=1e-5)
    assert "untrained" not in system.scorer.summary(rows, None)["verification"]
    assert {*system.scorer.names} <= {f"verification.{name}" for name in summary}


def test_the_exported_encoder_knows_no_people():
    _, state, _, variables = learned("identity_encoder")
    assert set(state.params["network"]) == {"encoder", "centres"}
    assert state.params["network"]["centres"].shape == (tiny.PEOPLE, 8)
    assert difference(variables["network"]["params"], state.ema["network"]["params"]["encoder"]) == 0


def test_the_likest_faces_are_shown_first():
    system, _, _, variables = learned("identity_encoder")
    batch = tiny.faces(10, seed=3) | {"weight": np.float32([1] * 9 + [0])}
    (pictures,) = jax.jit(system.scorer.pictures)(variables, batch).values()
    assert pictures.shape == (8, 6, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_array_equal(pictures[:, 0], batch["image"][:8])
    # Of six people in nine pictures, three have two: they come next.
    for first, second in ((0, 6), (1, 7), (2, 8), (6, 0), (7, 1)):
        np.testing.assert_array_equal(pictures[first, 1], batch["image"][second])


def test_a_landmark_regressor_learns_to_find_points():
    system, _, _, variables = learned("landmark_regressor")
    batch = tiny.faces(24, seed=1000)
    untrained = system.scorer.untrained(variables, jax.random.key(1))
    rows, before = scored(system, batch, variables, untrained)
    summary = system.scorer.summary(rows, before)["landmarks"]
    json.dumps(summary, allow_nan=False)
    assert summary["pixels"] < 0.5 * min(summary["mean_shape"]["pixels"], summary["untrained"]["pixels"])
    true = batch["landmarks"]
    assert summary["mean_shape"] == landmark_scores(np.repeat(true.mean(0, keepdims=True), 24, 0), true)
    assert summary["faces"] == 24
    assert {*system.scorer.names} <= {f"landmarks.{name}" for name in summary}


def test_points_are_drawn_where_they_are():
    system, _, _, variables = learned("landmark_regressor")
    batch = tiny.faces(3)
    (pictures,) = jax.jit(system.scorer.pictures)(variables, batch).values()
    assert pictures.shape == (2, 3, tiny.SIZE, tiny.SIZE, 3)
    green = (np.asarray(pictures[0]) == [-1, 1, -1]).all(-1)
    for drawn, points in zip(green, batch["landmarks"], strict=True):
        pixels = np.floor(points).astype(int)
        inside = ((pixels >= 0) & (pixels < tiny.SIZE)).all(1)
        assert drawn[pixels[inside, 1], pixels[inside, 0]].all()
        assert drawn.sum() < 0.6 * drawn.size


@pytest.mark.parametrize("name", BOTH)
def test_training_starts_from_a_model(name, tmp_path):
    system, _, _, variables = learned(name)
    config = tiny.config(name, model__init_from=str(tmp_path / "first"))
    meta = bundle.Meta(
        name="first",
        system=name,
        config=config.to_dict(),
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(tiny.SIZE),
        licence="Apache-2.0",
    )
    bundle.save(tmp_path / "first", variables, meta)
    again = systems.build(config)
    assert again.learns_from == (str(tmp_path / "first"),)
    random = numbered(again)
    started = again.init_from(random)
    assert jax.tree.structure(started) == jax.tree.structure(random)
    assert difference(again.variables(started), variables) == 0
    assert difference(started.opt_state, random.opt_state) == 0
    if name == "identity_encoder":
        assert difference(started.params["network"]["centres"], random.params["network"]["centres"]) == 0
    wider = systems.build(tiny.config(name, model__init_from=str(tmp_path / "first"), model__width=16))
    with pytest.raises(UserError, match=r"first' is of another network: '\S+' is \("):
        wider.init_from(jax.eval_shape(wider.init, jax.random.key(0)))
    other = BOTH[1 - BOTH.index(name)]
    second = systems.build(tiny.config(other, model__init_from=str(tmp_path / "first")))
    state = jax.eval_shape(second.init, jax.random.key(0))
    with pytest.raises(UserError, match=f"is a model of '{name}', not of '{other}'"):
        second.init_from(state)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("identity_encoder", {"loss__guard": "none", **tiny.BATCH_NORM["identity_encoder"]}),
        ("landmark_regressor", {"loss__kind": "mean_square", **tiny.BATCH_NORM["landmark_regressor"]}),
        ("identity_encoder", {}),
        ("landmark_regressor", {}),
    ],
)
def test_every_loss_and_network_keeps_float32(name, changes):
    system = systems.build(tiny.config(name, **changes, precision__compute="bfloat16"))
    batch = tiny.faces(2)
    with jax.enable_x64(True):
        state = jax.eval_shape(system.init, jax.random.key(0))
        after, metrics = jax.eval_shape(lambda s, b: system.steps["train"](s, b, GLOBAL_VIEW), state, batch)
        found = jax.eval_shape(system.scorer.collect, jax.eval_shape(system.variables, state), batch)
    shapes = [jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree) for tree in (state, after)]
    assert shapes[0] == shapes[1]
    floats = [leaf.dtype for leaf in jax.tree.leaves((after.params, metrics, found))]
    assert {*floats} <= {jnp.dtype("float32"), jnp.dtype("int32")}


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("identity_encoder", {"image_size": 100}, "image_size=100 must be a power of two"),
        ("identity_encoder", {"model__people": 1}, r"model\.people=1 must be at least 2"),
        ("identity_encoder", {"loss__guard": "hard"}, r"loss\.guard='hard' must be one of: linear, none"),
        ("identity_encoder", {"model__network": "resnet"}, r"model\.network='resnet' must be one of: small, iresnet18"),
        (
            "landmark_regressor",
            {"model__points": 5},
            r"model\.points=5 is no scheme with known eye corners: 68, 70, 106",
        ),
        ("landmark_regressor", {"model__network": "mobilefacenet", "image_size": 24}, "must be a multiple of 16"),
        ("landmark_regressor", {"data__resolution_schedule": ((10, 8),)}, "trains at one image size"),
    ],
)
def test_configs_that_do_not_fit_are_named(name, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny.config(name, **changes))
