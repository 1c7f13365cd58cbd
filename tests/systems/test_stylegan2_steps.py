"""The steps of StyleGAN2: what each changes, what its loss is, padding, precision, two devices.

They share programs: one compiles for seconds.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import systems
from l2s_jax.models.stylegan2 import config as networks_of
from l2s_jax.systems.stylegan2 import steps
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW, step_rng
from tests.helpers import tiny_stylegan2
from tests.helpers.steps import check_moments, compiled, copied, difference

ROWS = 8
TRAINED = {
    "generator": "generator",
    "path_length": "generator",
    "discriminator": "discriminator",
    "r1": "discriminator",
}
"""Network that each step changes, in the order of a batch."""


@pytest.fixture(scope="module")
def config():
    return tiny_stylegan2.config()


@pytest.fixture(scope="module")
def system(config):
    return systems.build(config)


@pytest.fixture(scope="module")
def state(system):
    """With noise that is heard, and in the middle of a training."""
    state = jax.jit(system.init)(jax.random.key(0))
    for layer in state.params["generator"]["synthesis"].values():
        if isinstance(layer, dict) and "noise_strength" in layer:
            layer["noise_strength"] = jnp.float32(0.3)
    return state.replace(step=jnp.int32(100), stats=state.stats | {"path_length": jnp.float32(0.01)})


@pytest.fixture(scope="module")
def stepped(system, state):
    """(precision, step) -> (state after it, metrics) of one batch, all from one state."""
    kinds = {"float32": system, "bfloat16": systems.build(tiny_stylegan2.config(precision__compute="bfloat16"))}
    return functools.cache(
        lambda precision, name: jax.device_get(
            compiled(kinds[precision].steps[name])(state, tiny_stylegan2.faces(ROWS))
        )
    )


@pytest.fixture(scope="module")
def exact(stepped):
    """{step: (state after, metrics)} in float32."""
    return {name: stepped("float32", name) for name in TRAINED}


IN_BFLOAT16 = [pytest.param(name, marks=[pytest.mark.slow] * (name not in ("generator", "r1"))) for name in TRAINED]


@pytest.mark.parametrize("name", TRAINED)
def test_every_step_changes_its_network_and_no_other(stepped, state, name):
    check_changes(state, *stepped("float32", name), name)


@pytest.mark.parametrize("name", IN_BFLOAT16)
def test_bfloat16_computes_about_what_float32_does(stepped, state, name):
    exact, rounded = stepped("float32", name)[1], stepped("bfloat16", name)[1]
    assert exact.keys() == rounded.keys()
    for key, value in exact.items():
        if key != "d_accuracy":  # a logit near 0 may fall on the other side
            np.testing.assert_allclose(rounded[key], value, rtol=0.1, atol=0.01, err_msg=key)
    assert any(rounded[key] != value for key, value in exact.items())
    check_changes(state, *stepped("bfloat16", name), name)


def check_changes(state, after, metrics, name):
    assert all(np.isfinite(value) for value in metrics.values())
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves((after.params, after.opt_state)))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.params))
    moved = {n for n in after.params if difference(state.params[n], after.params[n]) > 0}
    assert moved == {TRAINED[name]}
    changed = {n for n in after.stats if difference(state.stats[n], after.stats[n]) > 0}
    assert changed == {"generator": {"generator"}, "path_length": {"path_length"}}.get(name, set())
    assert (difference(state.ema, after.ema) > 0) is (name == "generator")
    assert int(after.step) == int(state.step)


def test_the_stored_noise_is_never_trained(state, exact):
    for after, _ in exact.values():
        stored = after.stats["generator"]["synthesis"]
        assert difference(state.stats["generator"]["synthesis"], stored) == 0


def networks(config):
    build = {"image_size": config.image_size, "dtype": jnp.float32}
    generator = networks_of.generator(config.model, **build)
    discriminator = networks_of.discriminator(config.model, **build)
    return steps.Networks(generator, discriminator, discriminator)


@pytest.fixture(scope="module")
def drawn(config, state):
    """The images and latents of the generator's step, drawn anew."""
    draw = jax.jit(lambda state, rngs: steps.generate(networks(config), config, state, rngs, state.params["generator"]))
    key = step_rng(state, "generator")
    return draw(state, jax.vmap(jax.random.fold_in, in_axes=(None, 0))(key, jnp.arange(ROWS)))


def test_the_losses_are_those_of_the_logits(config, state, exact, drawn):
    judge = jax.jit(networks(config).discriminator.apply)
    logits = np.asarray(judge({"params": state.params["discriminator"]}, drawn[0]), np.float64)
    metrics = exact["generator"][1]
    assert metrics["loss"] == pytest.approx(np.mean(np.log1p(np.exp(-logits))), rel=1e-4)
    metrics = exact["discriminator"][1]
    assert metrics["loss"] == pytest.approx(metrics["d_real"] + metrics["d_fake"], rel=1e-6)
    image = tiny_stylegan2.faces(ROWS)["image"]
    real = np.asarray(judge({"params": state.params["discriminator"]}, image), np.float64)
    assert metrics["d_real"] == pytest.approx(np.mean(np.log1p(np.exp(-real))), rel=1e-4)


def test_the_mean_code_follows_the_codes(config, state, exact, drawn):
    before, after = state.stats["generator"]["w_avg"], exact["generator"][0].stats["generator"]["w_avg"]
    decay = config.latents.mean_decay
    expected = decay * before + (1 - decay) * drawn[1].first.mean(axis=0)
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-7)


def test_styles_are_mixed_where_they_cross(config, state):
    """Every image has one code up to a layer of its own and another from there; few have one alone."""
    generator = networks(config).generator
    variables = steps.generator_variables(state.params["generator"], state.stats["generator"])
    draw = jax.jit(functools.partial(steps.draw_latents, generator, mixing=0.9))
    latents = draw(variables, jax.random.split(jax.random.key(0), 1000))
    codes, layers = np.asarray(latents.all), generator.synthesis.layers
    np.testing.assert_array_equal(codes[:, 0], latents.first)
    changes = np.any(codes[:, 1:] != codes[:, :-1], axis=2)
    assert np.all(changes.sum(axis=1) <= 1)
    np.testing.assert_allclose(changes.any(axis=1).mean(), 0.9, atol=0.03)
    np.testing.assert_allclose(changes.mean(axis=0), 0.9 / (layers - 1), atol=0.05)
    assert len(np.unique(codes.reshape(-1, codes.shape[-1]), axis=0)) > 1800
    whole = jax.jit(functools.partial(steps.draw_latents, generator, mixing=0.0))(
        variables, jax.random.split(jax.random.key(0), 8)
    )
    np.testing.assert_array_equal(whole.all, np.repeat(np.asarray(whole.first)[:, None], layers, axis=1))


def test_a_lazy_penalty_weighs_as_much_as_that_of_every_batch(config, exact):
    assert exact["r1"][1]["loss"] == pytest.approx(16 * config.loss.r1 / 2 * exact["r1"][1]["penalty"], rel=1e-6)
    assert exact["path_length"][1]["loss"] == pytest.approx(4 * 2 * exact["path_length"][1]["penalty"], rel=1e-6)


def test_r1_is_the_slope_of_all_logits(config, state, exact):
    judge = networks(config).discriminator
    image, params = tiny_stylegan2.faces(ROWS)["image"], {"params": state.params["discriminator"]}
    slope = jax.jit(jax.grad(lambda x: judge.apply(params, x).sum()))(image)
    expected = np.square(np.asarray(slope, np.float64)).sum((1, 2, 3)).mean()
    assert exact["r1"][1]["penalty"] == pytest.approx(expected, rel=1e-3)


def test_what_padding_shows_does_not_matter(system, state, exact):
    """The last row shares its group with an image that counts."""
    batch = tiny_stylegan2.faces(ROWS)
    batch["weight"][-1] = 0
    for name in ("discriminator", "r1"):
        _, metrics = compiled(system.steps[name])(state, batch)
        other = batch | {"image": batch["image"].copy()}
        other["image"][-1] = tiny_stylegan2.faces(1, seed=5)["image"][0]
        _, again = compiled(system.steps[name])(state, other)
        for key, value in metrics.items():
            np.testing.assert_allclose(again[key], value, rtol=1e-5, err_msg=f"{name}/{key}")
            if key in ("d_real", "penalty"):
                assert value != exact[name][1][key]


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("shard_map", ("path_length",)),
        # pmap and shard_map run the same local program; test_parallel.py compares all layouts every time.
        pytest.param("jit", ("discriminator",), marks=pytest.mark.slow),
        pytest.param("shard_map", tuple(TRAINED), marks=pytest.mark.slow),
        pytest.param("pmap", ("path_length",), marks=pytest.mark.slow),
    ],
)
def test_two_devices_compute_what_one_does(system, state, mode, names):
    batch = tiny_stylegan2.faces(ROWS)
    batch["weight"][5] = 0
    mesh = parallel.make_mesh(mode, 1)
    # A copy: the steps of the loop donate their state, and this one belongs to the module.
    for name in names:
        reference, expected = compiled(system.steps[name])(state, batch)
        step = parallel.data_parallel(system.steps[name], mesh, mode)
        placed = parallel.put_state(copied(state), mesh)
        placed, metrics = step(placed, parallel.global_batch(batch, mesh), last=False)
        for key, value in expected.items():
            np.testing.assert_allclose(metrics[key], value, rtol=1e-4, atol=1e-6, err_msg=f"{name}/{key}")
        assert difference(reference.stats, placed.stats) < 1e-5
        for group, moments in reference.opt_state.items():
            check_moments(placed.opt_state[group], moments)


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("discriminator", {"model__discriminator__group": 3}, "4 images on a device do not divide into groups of .*=3"),
        ("path_length", {"schedule__path_length_shrink": 3}, "4 images on a device are no multiple of .*=3"),
    ],
)
def test_rows_that_do_not_divide_are_named(state, name, change, sentence):
    system = systems.build(tiny_stylegan2.config(data__batch_size=12, **change))
    with pytest.raises(UserError, match=sentence):
        jax.eval_shape(
            lambda state, batch: system.steps[name](state, batch, GLOBAL_VIEW), state, tiny_stylegan2.faces(4)
        )


@pytest.mark.parametrize(("name", "every"), [("generator", 4), ("path_length", 4), ("discriminator", 16), ("r1", 16)])
def test_rates_are_corrected_for_the_extra_updates(config, state, exact, name, every):
    """Adam's first update has the size of the rate, wherever the gradient is not tiny."""
    network = TRAINED[name]
    largest = difference(state.params[network], exact[name][0].params[network])
    assert largest == pytest.approx(config.optim[network].learning_rate * every / (every + 1), rel=1e-2)
