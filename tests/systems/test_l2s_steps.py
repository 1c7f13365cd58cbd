"""The adversarial steps of Latents2Segments: what each changes, in float32 and bfloat16, for any batch, on two devices.

They share programs: one compiles for seconds.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax import systems
from l2s_jax.systems.latents2segments.networks import build as build_networks
from l2s_jax.systems.sliced import losses
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers import tiny_l2s
from tests.helpers.steps import check_moments, compiled, copied, difference

ROWS = 6
"""Of most batches: three a device, so that pairs cross the border between devices."""
TRAINED = {
    "discriminate": {"discriminator", "patch"},
    "r1": {"discriminator", "patch"},
    "autoencode": {"encoder", "generator"},
}
"""Networks that each step changes."""
JUDGING = tiny_l2s.config(model__discriminator__judges="image", loss__patch=0.0)
"""A judge of whole faces."""


@pytest.fixture(scope="module")
def system():
    return systems.build(tiny_l2s.config())


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def stepped(system, state):
    """(precision, step) -> (state after it, metrics) of one batch.

    All from one state: Adam's first steps have the size of the learning rate whatever the gradient, so states that
    follow from rounded gradients are others.
    """
    kinds = {"float32": system, "bfloat16": systems.build(tiny_l2s.config(precision__compute="bfloat16"))}
    return functools.cache(lambda precision, name: compiled(kinds[precision].steps[name])(state, tiny_l2s.faces(ROWS)))


def test_the_schedule_knows_every_step(system):
    assert {name for number in range(2) for name in system.schedule(number)} == TRAINED.keys()


IN_BFLOAT16 = [pytest.param(name, marks=[pytest.mark.slow] * (name != "autoencode")) for name in TRAINED]


@pytest.mark.parametrize("name", TRAINED)
def test_every_step_changes_its_networks_and_no_others(stepped, state, name):
    check_changes(state, stepped("float32", name), name)


@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_bfloat16_computes_about_what_float32_does(stepped, state, name):
    """bfloat16 keeps 8 bits, 0.4 % a rounding; ten layers and, in R1, squared gradients add up to a few percent."""
    exact, rounded = stepped("float32", name)[1], stepped("bfloat16", name)[1]
    assert exact.keys() == rounded.keys()
    for key, value in exact.items():
        np.testing.assert_allclose(rounded[key], value, rtol=0.1, atol=0.01, err_msg=key)
    assert any(rounded[key] != value for key, value in exact.items())  # it is another arithmetic
    check_changes(state, stepped("bfloat16", name), name)


def check_changes(state, stepped, name):
    before, (after, metrics) = jax.device_get((state, stepped))
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((after.params, after.opt_state)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.params))
    moved = {n for n in after.params if difference(before.params[n], after.params[n]) > 0}
    assert moved == TRAINED[name]
    assert int(after.step) == int(before.step)


@pytest.mark.parametrize("faces", [1, 3])
def test_padding_does_not_count(system, state, faces):
    """In batches of three rows and of six."""
    batch, step = tiny_l2s.faces(faces), compiled(system.steps["autoencode"])
    plain, metrics = step(state, batch if faces == 3 else tiny_l2s.padded(batch, 3 - faces))
    assert all(np.isfinite(value) for value in metrics.values())
    # The odd last row gets a partner that must not count.
    more, padded_metrics = step(state, tiny_l2s.padded(batch, ROWS - faces))
    masks = ("cross_entropy", "dice", "light", "consensus")
    colours = ("image", "region", "region_inside", "region_flat", "gan_reconstruction")
    for name in (*masks, *colours, "independence"):
        np.testing.assert_allclose(metrics[name], padded_metrics[name], rtol=2e-5, atol=1e-6)
    assert difference(plain.params["generator"], more.params["generator"]) < 1e-2


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("jit", ("r1",)),
        ("shard_map", ("autoencode",)),
        # pmap and shard_map run the same local program: one of them goes through all steps.
        pytest.param("shard_map", tuple(TRAINED), marks=pytest.mark.slow),
        pytest.param("jit", ("autoencode",), marks=pytest.mark.slow),
        pytest.param("pmap", ("autoencode",), marks=pytest.mark.slow),
    ],
)
def test_two_devices_compute_what_one_does(system, state, mode, names):
    batch = tiny_l2s.faces(ROWS)
    mesh = parallel.make_mesh(mode, 1)
    # A copy: the steps of the loop donate their state, and this one belongs to the module.
    reference, placed = state, parallel.put_state(copied(state), mesh)
    for name in names:
        reference, expected = compiled(system.steps[name])(reference, batch)
        step = parallel.data_parallel(system.steps[name], mesh, mode)
        placed, metrics = step(placed, parallel.global_batch(batch, mesh), last=False)  # all steps on one batch
        for key, value in expected.items():
            np.testing.assert_allclose(metrics[key], value, rtol=1e-4, atol=1e-5, err_msg=f"{name}/{key}")
    # Gradients are compared by their moments; where one is about 0, Adam's step may be any part of the learning rate.
    assert difference(reference.ema, placed.ema) < 2e-5
    assert difference(reference.stats, placed.stats) < 2e-5
    for group, moments in reference.opt_state.items():
        check_moments(placed.opt_state[group], moments)


@pytest.fixture(scope="module")
def judging():
    """(system, state) of a judge of faces."""
    system = systems.build(JUDGING)
    return system, jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def judged(judging):
    """Jitted batch -> (what is decoded of each face, what is judged, its weights, logits)."""
    _, state = judging
    networks = build_networks(JUDGING)

    @jax.jit
    def run(params, batch, rng):
        face = losses.faces(networks, batch, rng, GLOBAL_VIEW)
        encoded = networks.encode(params, face.image)
        mixed, present, _ = losses.mix(networks, params, face, encoded, GLOBAL_VIEW)
        own = losses.views(networks, networks.paint(params, encoded.structure, encoded.style))
        return own, mixed, present, losses.judge(networks, params, mixed)

    return lambda batch: run(state.params, batch, jax.random.key(1))


def test_a_judge_of_faces_sees_them_whole_and_with_some_slices_swapped(judging, judged):
    assert judging[1].params.keys() == {"encoder", "generator", "discriminator"}
    own, mixed, present, logits = judged(tiny_l2s.faces(4))
    side = tiny_l2s.SIZE
    assert own.shape == mixed.shape == (4, 1, side, side, 3)
    assert present.shape == logits.shape == (4, 1)
    assert all(np.abs(own[i] - mixed[i]).max() > 1e-3 for i in range(4))


def test_a_face_mixed_with_padding_is_not_judged(judged):
    _, _, weights, _ = judged(tiny_l2s.faces(4) | {"weight": np.array([1, 0, 1, 1], np.float32)})
    np.testing.assert_array_equal(weights[:, 0], [0, 0, 1, 1])


@pytest.mark.parametrize("name", ["discriminate", "autoencode", pytest.param("r1", marks=pytest.mark.slow)])
def test_a_judge_of_faces_teaches_and_learns(judging, name):
    system, state = judging
    after, metrics = compiled(system.steps[name])(state, tiny_l2s.faces(4))
    assert all(np.isfinite(value) for value in metrics.values())
    assert {n for n in after.params if difference(state.params[n], after.params[n]) > 0} == TRAINED[name] - {"patch"}
    if name == "discriminate":
        assert 0 <= metrics["d_accuracy"] <= 1


def test_partners_are_exchanged_in_pairs_and_an_odd_last_row_gets_the_first():
    for rows, expected in ((1, [0]), (4, [1, 0, 3, 2]), (5, [1, 0, 3, 2, 0])):
        x = jnp.arange(rows)
        np.testing.assert_array_equal(losses.partner(x, GLOBAL_VIEW), expected)
