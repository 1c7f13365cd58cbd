"""The adversarial steps of Latents2Segments: what each changes, in float32 and bfloat16, for any batch, on two devices.

They share programs: one compiles for seconds.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax import systems
from l2s_jax.training import parallel
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


@pytest.fixture(scope="module")
def system():
    return systems.build(tiny_l2s.config())


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


def one_after_another(system, state):
    """{step: (state before, state after, metrics)} of one batch for the discriminators, R1 and the autoencoder."""
    batch, seen = tiny_l2s.faces(ROWS), {}
    for name in TRAINED:
        before = state
        state, metrics = compiled(system.steps[name])(before, batch)
        seen[name] = before, state, metrics
    assert {name for number in range(2) for name in system.schedule(number)} == seen.keys()
    return seen


@pytest.fixture(scope="module")
def exact(system, state):
    return one_after_another(system, state)


@pytest.fixture(scope="module")
def rounded(state):
    return one_after_another(systems.build(tiny_l2s.config(precision__compute="bfloat16")), state)


@pytest.mark.parametrize("precision", ["exact", "rounded"])
@pytest.mark.parametrize("name", TRAINED)
def test_every_step_changes_its_networks_and_no_others(request, name, precision):
    before, after, metrics = jax.device_get(request.getfixturevalue(precision)[name])
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((after.params, after.opt_state)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.params))
    moved = {n for n in after.params if difference(before.params[n], after.params[n]) > 0}
    assert moved == TRAINED[name]
    assert int(after.step) == int(before.step)


@pytest.mark.parametrize("name", TRAINED)
def test_bfloat16_computes_about_what_float32_does(exact, rounded, name):
    """bfloat16 keeps 8 bits, 0.4 % a rounding; ten layers and, in R1, squared gradients add up to a few percent."""
    (_, _, exact), (_, _, rounded) = exact[name], rounded[name]
    assert exact.keys() == rounded.keys()
    for key, value in exact.items():
        np.testing.assert_allclose(rounded[key], value, rtol=0.1, atol=0.01, err_msg=key)
    assert any(rounded[key] != value for key, value in exact.items())  # it is another arithmetic


@pytest.mark.parametrize(("size", "padding"), [(1, 2), (3, 3)])  # three and six rows are what other cases compile
def test_any_batch_size_and_padding_does_not_count(system, state, size, padding):
    batch, step = tiny_l2s.faces(size), compiled(system.steps["autoencode"])
    plain, metrics = step(state, batch)
    assert all(np.isfinite(value) for value in metrics.values())
    # The odd last row gets a partner that must not count.
    more, padded_metrics = step(state, tiny_l2s.padded(batch, padding))
    masks = ("cross_entropy", "dice", "light", "consensus")
    colours = ("image", "region", "region_inside", "region_flat", "gan_reconstruction")
    for name in (*masks, *colours, "independence"):
        np.testing.assert_allclose(metrics[name], padded_metrics[name], rtol=2e-5, atol=1e-6)
    assert difference(plain.params["generator"], more.params["generator"]) < 1e-2


@pytest.mark.parametrize(
    ("mode", "names"),
    # pmap and shard_map run the same local program: one of them goes through all steps.
    [("shard_map", tuple(TRAINED)), ("pmap", ("autoencode",)), ("jit", ("autoencode",))],
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
    assert difference(reference.ema, placed.ema) < 1e-5
    for group, moments in reference.opt_state.items():
        check_moments(placed.opt_state[group], moments)
