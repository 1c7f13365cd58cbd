import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict

from input_pipeline import datasets, labels
from input_pipeline.errors import UserError
from l2s_jax import evaluation, systems
from l2s_jax.models import backbones
from l2s_jax.systems.segface import config as segface_config
from l2s_jax.systems.segface import system as segface_system
from l2s_jax.systems.segface.forward import build_network
from l2s_jax.training import checkpoints, parallel
from l2s_jax.types import GLOBAL_VIEW, Prediction
from tests.helpers import tiny_segface
from tests.helpers.steps import check_moments, compiled, copied, difference, numbered, one_device

BOTH = {"model__backbone": "tiny_mini", "model__stochastic_depth": 0.5}
"""Batch normalisation and stochastic depth."""


@pytest.fixture(scope="module")
def system():
    """A system with both, and with all terms."""
    return systems.build(tiny_segface.config(**BOTH, **tiny_segface.AGREEING))


@pytest.fixture(scope="module")
def state(system):
    """Placed as checkpoints are restored, or the step would compile again for them."""
    return parallel.init_state(system.init, jax.random.key(0), one_device())


@pytest.fixture(scope="module")
def step(system):
    """The step of `system` on one device, compiled; it donates nothing."""
    return compiled(system.steps["train"])


@pytest.fixture(scope="module")
def plain():
    """A system without batch normalisation and stochastic depth, with all terms, and its state."""
    system = systems.build(tiny_segface.config(**tiny_segface.AGREEING))
    return system, jax.jit(system.init)(jax.random.key(0))


def advanced(state):
    return state.replace(step=state.step + 1)


def test_a_mirrored_picture_has_the_mirrored_mask(plain):
    _, state = plain
    twice = systems.build(tiny_segface.config(**tiny_segface.AGREEING | {"model__mirror": True}))
    image, predict = tiny_segface.faces(1)["image"], jax.jit(twice.predict)
    there, back = (predict(twice.variables(state), x).logits for x in (image, image[:, :, ::-1]))
    np.testing.assert_allclose(there, back[:, :, ::-1, twice.label_set.flip[:11]], rtol=1e-5, atol=1e-5)
    assert np.abs(there - back).max() > 1e-2


def test_a_loss_without_terms():
    nothing = systems.build(tiny_segface.config(loss__cross_entropy=0.0, loss__dice=0.0))
    state = jax.eval_shape(nothing.init, jax.random.key(0))
    with pytest.raises(UserError, match=r"no weight of config\.loss is above 0"):
        jax.eval_shape(
            lambda state, batch: nothing.steps["train"](state, batch, GLOBAL_VIEW), state, tiny_segface.faces(2)
        )


def test_it_learns_a_batch_and_the_average_follows(system, state, step):
    batch, before = tiny_segface.faces(4), state
    losses = []
    for _ in range(45):
        state, metrics = step(state, batch)
        state = advanced(state)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
    weighted = 0.5 * metrics["cross_entropy"] + 0.5 * metrics["dice"] + 0.1 * metrics["consensus"]
    np.testing.assert_allclose(metrics["loss"], weighted, rtol=1e-5)
    # The exported variables are the averages of weights AND batch statistics.
    exported, fresh = system.variables(state)["network"], system.variables(before)["network"]
    for collection in ("params", "batch_stats"):
        assert difference(exported[collection], fresh[collection]) > 0
    assert difference(exported["constants"], before.stats["network"]["constants"]) == 0
    assert difference(exported["params"], state.params["network"]) > 0


def test_predict_speaks_of_every_pixel(system, state):
    prediction = jax.jit(system.predict)(system.variables(state), tiny_segface.faces(3)["image"])
    assert prediction.logits.shape == (3, 32, 32, 11)
    assert prediction.logits.dtype == jnp.float32
    assert prediction.labels.dtype == jnp.int32


@pytest.mark.parametrize("label_set", ["lapa", "helen", "farl19", "celebamask"])
def test_one_token_and_one_logit_for_each_class(label_set):
    system = systems.build(tiny_segface.config(label_set=label_set))
    state = jax.eval_shape(system.init, jax.random.key(0))
    count = len(labels.get(label_set))
    assert state.params["network"]["decoder"]["tokens"].shape == (count, 16)
    image = jax.ShapeDtypeStruct((2, 64, 32, 3), jnp.float32)
    assert jax.eval_shape(system.predict, system.variables(state), image).logits.shape == (2, 64, 32, count)


def test_interpolated_logits_have_the_size_of_the_image():
    system = systems.build(tiny_segface.config(model__decoder__doublings=1))
    variables = system.variables(jax.eval_shape(system.init, jax.random.key(0)))
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    assert jax.eval_shape(system.predict, variables, image).logits.shape == (1, 32, 32, 11)


# test_parallel.py compares all layouts every time, of a smaller system.
SELDOM = [pytest.param(mode, marks=pytest.mark.slow) for mode in ("jit", "pmap")]


@pytest.mark.parametrize("mode", ["shard_map", *SELDOM])
def test_two_devices_compute_what_one_does(system, state, step, mode):
    """Statistics of the batch and draws of stochastic depth are those of the global batch."""
    batch = tiny_segface.faces(4)
    batch["weight"][-1] = 0  # the devices hold different numbers of faces
    expected, scores = step(state, batch)
    assert set(scores) == {"loss", "cross_entropy", "dice", "consensus"}
    mesh = parallel.make_mesh(mode, 1)
    assert mesh.size == 2
    placed = parallel.put_state(copied(state), mesh)
    found, metrics = parallel.data_parallel(system.steps["train"], mesh, mode)(
        placed, parallel.global_batch(batch, mesh)
    )
    for name, value in scores.items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-5)
    check_moments(found.opt_state, expected.opt_state, rtol=2e-3, noise=1e-5)
    with pytest.raises(RuntimeError, match="deleted"):
        jax.block_until_ready(placed.params)  # the state is donated
    assert difference(found.stats, expected.stats) < 1e-5


def test_a_resumed_training_goes_on_to_the_bit(tmp_path, system, state, step):
    batches = [tiny_segface.faces(4, seed=seed) for seed in range(4)]
    through = state
    for batch in batches:
        through = advanced(step(through, batch)[0])
    half = state
    for batch in batches[:2]:
        half = advanced(step(half, batch)[0])
    checkpoints.save(tmp_path, checkpoints.Checkpoint(half, {"at": 2}, {}), 1).result()
    like = parallel.abstract_state(system.init, jax.random.key(0), one_device())
    half = checkpoints.restore(tmp_path, like, print).state
    for batch in batches[2:]:
        half = advanced(step(half, batch)[0])
    assert difference(dataclasses.replace(through, rng=()), dataclasses.replace(half, rng=())) == 0


def test_everything_computes_in_the_precision_of_the_config():
    system = systems.build(tiny_segface.config(**BOTH, precision__compute="bfloat16"))
    state = jax.eval_shape(system.init, jax.random.key(0))
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    network = segface_system.build_network(tiny_segface.config(**BOTH, precision__compute="bfloat16"), 11)
    variables = {"params": state.params["network"], **state.stats["network"]}

    def run(variables, image):
        return network.apply(variables, image, train=False, capture_intermediates=True, mutable=["intermediates"])

    logits, seen = jax.eval_shape(run, variables, jax.ShapeDtypeStruct((2, 32, 32, 3), jnp.float32))
    assert logits.dtype == jnp.float32
    float32 = {
        name
        for name, outputs in flatten_dict(seen["intermediates"], sep="/").items()
        if any(leaf.dtype != jnp.bfloat16 for leaf in jax.tree.leaves(outputs))
    }
    # The logits, and the position code, which is cast where it is added.
    assert float32 == {"__call__", "decoder/__call__", "decoder/position/__call__"}


@pytest.fixture(scope="module")
def aligning(plain):
    """A system that warps, and the fresh state of `plain`: a warp has no weights."""
    system = systems.build(tiny_segface.config(model__warp="exact"))
    assert jax.tree.structure(jax.eval_shape(system.init, jax.random.key(0))) == jax.tree.structure(plain[1])
    return system, plain[1]


def test_warped_training_happens_in_the_pixels_of_the_picture(aligning):
    system, state = aligning
    step = compiled(system.steps["train"])
    batch = tiny_segface.faces(4)
    batch["weight"][-1], batch["landmarks"][-1] = 0, 0  # padding
    losses = []
    for _ in range(24):
        state, metrics = step(state, batch)
        state = advanced(state)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])


def test_without_landmarks_the_picture_is_seen_as_it_is(aligning, plain):
    system, state = aligning
    other, _ = plain
    batch, variables = tiny_segface.faces(2), system.variables(state)
    predict = jax.jit(system.predict)
    free = predict(variables, batch["image"]).logits
    np.testing.assert_allclose(free, jax.jit(other.predict)(variables, batch["image"]).logits, rtol=1e-6)
    assert np.abs(predict(variables, batch["image"], batch["landmarks"]).logits - free).max() > 1e-3
    assert (system.needs, other.needs) == (("image", "mask", "landmarks"), ("image", "mask", "blobs"))


def test_evaluation_hands_over_the_landmarks(system):
    seen = []

    def predict(variables, image, landmarks=None):
        seen.append(landmarks.shape)
        return Prediction(jnp.zeros((*image.shape[:3], len(system.label_set))))

    watched, source = dataclasses.replace(system, predict=predict), datasets.open_source("synthetic:3", size=32)
    options = {"image_size": 32, "batch_size": 2}
    scores = evaluation.score(watched, {}, source, **options)
    assert 0 <= scores["segmentation.mean_iou"] <= 1
    assert seen == [(2, len(source[0]["landmarks"]), 2)]  # traced once


def test_the_published_recipe_exports_raw_weights():
    config = segface_config.published(tiny_segface.config().unlock())
    config.optim.network.decay, config.optim.network.milestones = "steps", (10, 20)
    system = systems.build(config.lock())
    state = jax.eval_shape(system.init, jax.random.key(0))
    assert state.ema == {}
    variables = jax.eval_shape(system.variables, state)["network"]
    assert set(variables) == {"params", "constants"}
    train = system.steps["train"]
    after, _ = jax.eval_shape(lambda s, b: train(s, b, GLOBAL_VIEW), state, tiny_segface.faces(2))
    assert jax.tree.structure(after) == jax.tree.structure(state)


def test_rare_classes_weigh_more():
    shares = tuple(float(k) for k in range(1, 12))
    weights = segface_system._class_weights(tiny_segface.config(loss__pixel_shares=shares, loss__rarity=0.5).loss, 11)
    np.testing.assert_allclose(weights[0] / weights[3], 2.0, rtol=1e-6)
    np.testing.assert_allclose(np.average(weights, weights=shares), 1.0, rtol=1e-6)
    assert segface_system._class_weights(tiny_segface.config().loss, 11) is None


@pytest.mark.parametrize("name", [name for name in backbones.BACKBONES if name.startswith("tiny") or name == "mini"])
def test_every_part_of_a_backbone_has_its_stage(name):
    module = backbones.build(name)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    variables = jax.eval_shape(lambda key, x: module.init(key, x, train=False), jax.random.key(0), image)
    for part in variables["params"]:
        kind, _, number = part.partition("_")
        wanted = {"stem": 0, "head": 5}[kind] if kind in ("stem", "head") else int(number[0])
        assert segface_system._stage(("backbone", part)) == wanted
    assert segface_system._stage(("decoder", "stage_1")) is None


def test_the_stem_learns_slowest_and_the_decoder_at_full_rate(plain):
    """Of the same gradients, by the optimiser of the step."""
    params = jax.device_get(plain[1].params["network"])
    draws = np.random.default_rng(0)
    gradients = jax.tree.map(lambda leaf: draws.normal(size=leaf.shape).astype(np.float32), params)

    def moves(**changes):
        config = tiny_segface.config(**changes)
        optimiser = segface_system._optimiser(config, build_network(config, len(labels.get(config.label_set))))
        fresh = jax.eval_shape(optimiser.init, params)
        return jax.jit(lambda g, p: optimiser.update(g, optimiser.init(p), p)[0])(gradients, params), fresh

    decayed = {"optim__stage_decay": 0.5}
    (slow, slow_state), (fast, fast_state) = moves(**decayed), moves()
    assert jax.tree.structure(slow_state) != jax.tree.structure(fast_state)
    # The step's optimiser is this one: another would refuse the state.
    step = systems.build(tiny_segface.config(**decayed)).steps["train"]
    state = jax.eval_shape(lambda: plain[1]).replace(opt_state={"network": slow_state})
    jax.eval_shape(lambda s, b: step(s, b, GLOBAL_VIEW), state, tiny_segface.faces(2))
    for part, factor in (("stem", 0.5**5), ("stage_2_block_0", 0.5**3), ("stage_4_block_0", 0.5)):
        ours, theirs = jax.tree.leaves(slow["backbone"][part]), jax.tree.leaves(fast["backbone"][part])
        for a, b in zip(ours, theirs, strict=True):
            assert np.all(b != 0)
            np.testing.assert_allclose(a, factor * b, rtol=1e-3, atol=1e-7)
    assert difference(slow["decoder"], fast["decoder"]) < 1e-7


def test_a_head_start_fills_the_network_or_the_backbone_where_classes_differ(tmp_path, system, state):
    source = str(tiny_segface.save(tmp_path / "other", tiny_segface.config(**BOTH), system.variables(state)))
    pretrained = systems.build(tiny_segface.config(**BOTH, label_set="farl19", model__init_from=source))
    fresh = numbered(pretrained)
    started = pretrained.init_from(fresh)
    for mine, theirs in ((started.params, state.params), (started.ema, state.ema), (started.stats, state.stats)):
        node, other = mine["network"], theirs["network"]
        node, other = (n.get("params", n.get("batch_stats", n)) for n in (node, other))
        assert difference(node["backbone"], other["backbone"]) == 0
    assert difference(started.params["network"]["decoder"], fresh.params["network"]["decoder"]) == 0
    alike = systems.build(tiny_segface.config(**BOTH, model__init_from=source))
    continued = alike.init_from(numbered(alike))
    assert difference(continued.params["network"], state.params["network"]) == 0
    assert difference(continued.ema["network"]["params"], state.params["network"]) == 0
    stranger = systems.build(tiny_segface.config(model__init_from=source))
    with pytest.raises(UserError, match="is of another backbone"):
        stranger.init_from(numbered(stranger))
    (tmp_path / "weights.pth").write_bytes(b"nothing")
    with pytest.raises(UserError):
        systems.build(tiny_segface.config(model__init_from=str(tmp_path / "weights.pth"))).init_from(fresh)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"model__mirror": True, "model__warp": "exact"}, "model.mirror needs model.warp=none, not exact"),
        ({"data__resolution_schedule": ((4, 40),)}, "data.resolution_schedule=40 must be a multiple of 32"),
        ({"image_size": 48}, "image_size=48 must be a multiple of 32"),
        ({"model__backbone": "tiny_convnet"}, "did you mean 'tiny_convnext'"),
        ({"model__stochastic_depth": 1.0}, "must be a rate"),
        ({"model__warp": "tanh"}, "model.warp='tanh' must be one of: none, exact, published"),
        ({"model__channels": 18}, "model.channels=18 must be a multiple"),
        ({"model__decoder__heads": 3}, "model.decoder.heads=3"),
        ({"model__decoder__doublings": 3}, "model.decoder.doublings=3 must be at most 2"),
        ({"label_set": "lappa"}, "unknown label set 'lappa'"),
        ({"loss__rarity": 0.5}, "needs loss.pixel_shares: 11 numbers"),
        ({"loss__rarity": 0.5, "loss__pixel_shares": (0.0,) * 11}, "11 numbers above 0"),
        ({"optim__stage_decay": 0.0}, "optim.stage_decay=0.0 must be at least"),
        ({"optim__network__decay": "steps"}, "decay=steps is what needs milestones"),
    ],
)
def test_configs_that_do_not_fit_are_named(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny_segface.config(**changes))
