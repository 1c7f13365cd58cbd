"""Face Identity Disentanglement: schedule, what each step changes, learning rates, layouts, scores.

Steps share programs: one compiles for seconds.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.losses.identity import identity_loss
from l2s_jax.systems.id_disentanglement import config as recipes
from l2s_jax.systems.id_disentanglement import networks
from l2s_jax.systems.id_disentanglement.generators import FACTORS, oracle
from l2s_jax.systems.id_disentanglement.optimisers import Optimiser, everything
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW
from tests.helpers import tiny_identity
from tests.helpers.steps import check_moments, compiled, copied, difference, numbered

ROWS, FIRST = 4, tiny_identity.ENCODER_STEPS
CHANGED = {
    "identity": {"identity"},
    "evaluator": {"evaluator"},
    "landmarks": {"landmarks"},
    "start": {"attributes"},
    "ridge": set(),  # it fits a baseline in `stats`
    "cross": {"mapper", "attributes"},
    "same": {"mapper", "attributes"},
    "cross_adversarial": {"mapper", "attributes", "discriminator"},
    "same_adversarial": {"mapper", "attributes", "discriminator"},
}
"""Networks that each step changes."""


@pytest.fixture(scope="module")
def config():
    return tiny_identity.config()


@pytest.fixture(scope="module")
def system(config):
    return systems.build(config)


@pytest.fixture(scope="module")
def state(system):
    return jax.jit(system.init)(jax.random.key(0))


@pytest.fixture(scope="module")
def stepped(system, state):
    """Step -> (state after it, metrics), all from one state in the middle of their phase."""

    @functools.cache
    def run(name):
        number = 1 if name in (*networks.ENCODERS,) else FIRST + 6
        start = state.replace(step=jnp.int32(number))
        return jax.device_get(compiled(system.steps[name])(start, tiny_identity.draws(ROWS)))

    return run


def test_the_schedule_has_the_published_period(system):
    """Encoders first; then six batches: cross every third, adversarial every second."""
    expected = ["cross_adversarial", "same", "same_adversarial", "cross", "same_adversarial", "same"]
    ran = [system.schedule(FIRST + n) for n in range(12)]
    assert ran[0] == ("start", "ridge", expected[0])
    assert ran[1:] == [(name,) for name in (expected * 2)[1:]]
    assert system.schedule(0) == ("identity", "landmarks", "evaluator")
    assert system.schedule(1) == ("identity", "landmarks")
    assert {name for n in range(FIRST + 6) for name in system.schedule(n)} == set(system.steps)


def test_the_adversarial_part_can_be_left_out():
    plain = systems.build(tiny_identity.config(schedule__adversarial_every=0, schedule__ridge_faces=0))
    assert [plain.schedule(FIRST + n) for n in range(4)] == [("start", "cross"), ("same",), ("same",), ("cross",)]
    shapes = jax.eval_shape(plain.init, jax.random.key(0))
    assert "discriminator" not in shapes.params


@pytest.mark.parametrize(
    "name",
    # The adversarial part is the same for one image and for two.
    [pytest.param(name, marks=[pytest.mark.slow] * (name == "cross_adversarial")) for name in CHANGED],
)
def test_every_step_changes_its_networks_and_no_others(state, stepped, name):
    """Frozen means the same bits: generator, encoders and statistics never move in a step of the mapper."""
    after, metrics = stepped(name)
    assert all(np.isfinite(value) for value in metrics.values())
    moved = {part for part in after.params if difference(state.params[part], after.params[part]) > 0}
    assert moved == CHANGED[name]
    assert difference(state.stats["codes"], after.stats["codes"]) == 0
    assert (difference(state.stats["ridge"], after.stats["ridge"]) > 0) == (name == "ridge")
    assert (difference(state.ema, after.ema) > 0) == ("attributes" in moved)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(after.params))


def test_the_reconstruction_counts_for_one_image_alone(stepped):
    assert "reconstruction" in stepped("same")[1]
    assert "reconstruction" not in stepped("cross")[1]
    weights = tiny_identity.config().loss
    for name in ("same", "cross"):
        metrics = stepped(name)[1]
        terms = [key for key in ("identity", "landmarks", "shapes", "reconstruction") if key in metrics]
        np.testing.assert_allclose(metrics["loss"], sum(weights[key] * metrics[key] for key in terms), rtol=1e-5)


def test_both_gradients_are_taken_at_the_same_point(state, stepped):
    """The adversarial update comes on top of the other: the plain step's, plus Adam's of the gradient at the start."""
    plain, both = stepped("same")[0], stepped("same_adversarial")[0]
    moment = both.opt_state["mapper"]
    assert difference(moment, plain.opt_state["mapper"]) < 1e-5
    added = jax.tree.map(lambda x, y: x - y, both.params["mapper"], plain.params["mapper"])
    largest = max(float(np.abs(leaf).max()) for leaf in jax.tree.leaves(added))
    rate = tiny_identity.config().optim.adversarial.learning_rate * 0.5  # the middle of a cosine
    np.testing.assert_allclose(largest, rate, rtol=0.01)  # the first step of Adam has the size of its rate


def test_rates_follow_the_batch_and_not_the_updates():
    """Two optimisers of one phase, of which one makes half of the updates, keep the ratio of their rates."""
    group = tiny_identity.config().optim.mapper
    built = Optimiser(group, first=100, batches=40)
    params, ones = {"x": np.zeros(3, np.float32)}, {"x": np.full(3, 1e-3, np.float32)}
    update = jax.jit(built.update)
    for visited in (range(100, 140), range(100, 140, 2)):
        state = built.init(params)
        for number in visited:
            updates, state = update(ones, state, params, np.int32(number))
            expected = group.learning_rate * 0.5 * (1 + np.cos(np.pi * (number - 100) / 40))
            np.testing.assert_allclose(updates["x"], -expected, rtol=1e-3, atol=1e-9)


def test_published_rates():
    config = recipes.published(tiny_identity.config().unlock())
    rates = {name: config.optim[name].learning_rate for name in ("mapper", "adversarial", "discriminator")}
    assert rates == {"mapper": 5e-5, "adversarial": 5e-6, "discriminator": 2e-5}
    assert all(config.optim[name].eps == 1e-7 and config.optim[name].decay == "constant" for name in rates)


def test_no_gradient_flows_through_the_identity_that_is_wanted(config, state):
    """A loss that sees the identity image only as its target does not depend on the first layer's view of it."""
    built = networks.build(config)
    known = everything(state)
    latents = jax.vmap(lambda n: jax.random.normal(jax.random.key(n), (FACTORS,)))(jnp.arange(2))

    @jax.jit
    def slopes(latents):
        out = built.embed(known, built.draw(known, built.codes(known, latents[::-1])))

        def loss(latents):
            target = built.embed(known, built.draw(known, built.codes(known, latents)))
            return identity_loss(out, target, "cosine", jnp.ones(2), GLOBAL_VIEW.psum)

        return jax.grad(loss)(latents)

    assert not np.any(slopes(latents))


def test_padding_does_not_count(system, state, stepped):
    start = state.replace(step=jnp.int32(FIRST + 6))
    batch = tiny_identity.padded(tiny_identity.draws(ROWS), 2)
    _, metrics = compiled(system.steps["same_adversarial"])(start, batch)
    for name, value in stepped("same_adversarial")[1].items():
        np.testing.assert_allclose(metrics[name], value, rtol=1e-4, atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("mode", "names"),
    [
        ("shard_map", ("cross",)),
        # pmap and shard_map run the same local program; test_parallel.py compares all layouts every time.
        pytest.param("shard_map", ("same_adversarial",), marks=pytest.mark.slow),
        pytest.param("jit", ("cross",), marks=pytest.mark.slow),
        pytest.param("pmap", ("landmarks",), marks=pytest.mark.slow),
    ],
)
def test_two_devices_compute_what_one_does(system, state, stepped, mode, names):
    mesh = parallel.make_mesh(mode, 1)
    for name in names:
        expected, metrics = stepped(name)
        placed = parallel.put_state(copied(state.replace(step=jnp.int32(int(expected.step)))), mesh)
        step = parallel.data_parallel(system.steps[name], mesh, mode)
        found, seen = step(placed, parallel.global_batch(tiny_identity.draws(ROWS), mesh), last=False)
        for key, value in metrics.items():
            np.testing.assert_allclose(seen[key], value, rtol=1e-4, atol=1e-5, err_msg=f"{name}/{key}")
        for group, moments in expected.opt_state.items():
            check_moments(found.opt_state[group], moments)


def test_the_oracle_tells_the_factors_of_its_codes():
    generator = oracle(32, 16)
    z = np.random.default_rng(0).normal(size=(3, FACTORS)).astype(np.float32)
    code = np.asarray(jax.jit(generator.codes)({}, z))
    assert code.shape == (3, 32)
    np.testing.assert_allclose(jax.jit(generator.factors)(code), z, atol=1e-5)
    np.testing.assert_allclose(np.sum(code**2, -1), np.sum(z**2, -1), rtol=1e-5)
    axes = np.asarray(jax.jit(generator.compose)(np.eye(FACTORS, dtype=np.float32)))
    beside = np.linalg.svd(axes, full_matrices=True)[2][FACTORS:][:1]
    draw = jax.jit(generator.draw)
    np.testing.assert_allclose(draw({}, code + beside), draw({}, code), atol=1e-4)


@pytest.fixture(scope="module")
def summary(system, state):
    batch = tiny_identity.draws(8)
    variables = system.variables(state)
    rows = jax.device_get(jax.jit(system.scorer.collect)(variables, batch))
    return rows, system.scorer.summary(rows, rows), variables


def test_scores_of_answers_that_are_known(summary):
    """Each image is itself: cosine 1 and all factors on its axis; the exact answer has all of both."""
    _, scores, _ = summary
    baselines, factors = scores["answers"], scores["factors"]
    assert baselines.keys() == {
        "mapper", "identity_image", "attribute_image", "mean_code", "ridge", "exact", "untrained_mapper",
    }  # fmt: skip
    np.testing.assert_allclose(baselines["identity_image"]["identity_cosine"], 1, rtol=1e-5)
    np.testing.assert_allclose(baselines["attribute_image"]["identity_leak"], 1, rtol=1e-5)
    np.testing.assert_allclose(baselines["attribute_image"]["landmark_pixels"], 0, atol=1e-4)
    np.testing.assert_allclose(baselines["identity_image"]["off_manifold"], 0, atol=1e-3)
    for group in ("identity", "attributes"):
        np.testing.assert_allclose(factors["means"]["exact"][group], 1, rtol=1e-4)
        np.testing.assert_allclose([row["exact"] for row in factors[group].values()], 1, rtol=1e-4)
    np.testing.assert_allclose(factors["means"]["identity_image"]["identity"], 1, rtol=1e-4)
    np.testing.assert_allclose(factors["means"]["identity_image"]["attributes_leak"], 1, rtol=1e-4)
    assert factors["means"]["identity_image"]["identity_above_half"] == len(factors["identity"])
    assert factors["means"]["mean_code"]["identity"] == 0
    assert baselines["exact"]["true_landmark_pixels"] < baselines["identity_image"]["true_landmark_pixels"]
    assert scores["transfer"]["score"] == baselines["untrained_mapper"]["score"]


def test_every_name_of_a_score_is_in_the_summary(system, summary):
    for name in system.scorer.names:
        value = summary[1]
        for part in name.split("."):
            value = value[part]
        assert np.isfinite(value)


def test_the_untrained_mapper_is_another_one(system, summary):
    variables = summary[2]
    other = jax.jit(system.scorer.untrained)(variables, jax.random.key(1))
    assert all(jax.tree.leaves(value) for value in variables.values())
    changed = {name for name in variables if difference(variables[name], other[name]) > 0}
    assert changed == {"mapper", "attributes"}


def test_pictures_have_the_sources_at_the_margins(config, system, summary):
    batch, built, variables = tiny_identity.draws(3), networks.build(config), summary[2]
    (grid,) = jax.jit(system.scorer.pictures)(variables, batch).values()
    assert grid.shape == (4, 4, 16, 16, 3)
    latents = jax.jit(built.latents)(batch["seed"])
    draw = jax.jit(lambda latents: built.draw(variables, built.codes(variables, latents)))
    people, looks = draw(latents.identity), draw(latents.attributes)
    np.testing.assert_allclose(grid[1:, 0], people, atol=1e-4)
    np.testing.assert_allclose(grid[0, 1:], looks, atol=1e-4)


def test_transfer_is_the_halves_of_the_method(system, summary):
    variables, image = summary[2], np.zeros((2, 16, 16, 3), np.float32)
    transfer = system.transfer

    @jax.jit
    def run(variables, image):
        identity, attributes = transfer.identity(variables, image), transfer.attributes(variables, image)
        code = transfer.code(variables, identity, attributes)
        return identity, code, transfer.decode(variables, code)

    identity, code, decoded = jax.device_get(run(variables, image))
    np.testing.assert_allclose(np.linalg.norm(identity, axis=-1), 1, rtol=1e-5)
    assert code.shape == (2, 32)
    assert decoded.shape == image.shape
    start = np.abs(code - np.asarray(variables["codes"]["mean"])).max()
    assert start < 0.5, "an untrained mapper begins near the mean code"


def test_the_generator_draws_its_own_faces(config, system, summary):
    built, variables = networks.build(config), summary[2]
    z = np.random.default_rng(0).normal(size=(2, system.generator.size)).astype(np.float32)
    sample = jax.jit(system.generator.sample)
    faces = sample(variables, z, 1.0)
    drawn = jax.jit(lambda variables, z: built.draw(variables, built.codes(variables, z)))(variables, z)
    np.testing.assert_allclose(faces, drawn, atol=1e-5)
    mean = sample(variables, z, 0.0)
    np.testing.assert_allclose(mean[0], mean[1], atol=1e-5)


def test_trouble_is_told(system):
    assert not system.watch({"train/cross/code_energy": 1.2, "train/same_adversarial/d_accuracy": 0.7})
    assert "variance" in system.watch({"train/same/code_energy": 40.0})
    assert "discriminator" in system.watch({"train/cross_adversarial/d_accuracy": 0.999})


def test_a_config_without_steps_for_the_mapper_is_refused():
    with pytest.raises(UserError, match=r"encoders\.steps"):
        systems.build(tiny_identity.config(encoders__steps=15))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"encoders__steps": 0}, "encoders.identity"),
        ({"encoders__identity": "somewhere"}, "encoders.identity"),
        ({"model__identity__network": "tiny_iresnet"}, "small"),
        ({"generator__kind": "stylegan2"}, "generator.model"),
        ({"generator__model": "somewhere"}, "generator.model"),
        ({"model__attributes__width": 16}, "from_landmarks"),
        ({"image_size": 48}, "image_size"),
    ],
)
def test_fields_that_do_not_fit_together_are_named(changes, named):
    with pytest.raises(UserError, match=named):
        systems.build(tiny_identity.config(**changes))


def test_views_are_the_middle_of_an_image_resized():
    built = networks.build(tiny_identity.config(views__identity__crop=0.5, views__landmarks__size=32))
    image = jnp.arange(256.0).reshape(1, 16, 16, 1) * jnp.ones(3)[None, None, None]
    np.testing.assert_array_equal(built.view(image, "identity"), image[:, 4:12, 4:12])
    np.testing.assert_array_equal(built.view(image, "evaluator"), image[:, 4:12, 4:12])
    assert built.view(image, "landmarks").shape == (1, 32, 32, 3)
    assert built.view(image, "attributes").shape == image.shape


def test_models_of_other_systems_are_loaded(tmp_path, state):
    """The arrays of the bundles, in `stats`, with E_attr started from the landmark network's."""
    config = tiny_identity.config(
        encoders__steps=0, **{f"encoders__{name}": str(tmp_path / name) for name in networks.ENCODERS}
    )
    for name, kind in (
        ("identity", "identity_encoder"),
        ("evaluator", "identity_encoder"),
        ("landmarks", "landmark_regressor"),
    ):
        sides = {"label_set": labels.CELEBAMASK, "preprocessing": bundle.Preprocessing(tiny_identity.SIZE)}
        meta = bundle.Meta(name, kind, configs.default(kind).to_dict(), **sides, licence="x")
        bundle.save(tmp_path / name, {"network": state.params[name]}, meta)
    system = systems.build(config)
    assert system.learns_from == tuple(str(tmp_path / name) for name in ("identity", "evaluator", "landmarks"))
    loaded = system.init_from(numbered(system))
    for name in networks.ENCODERS:
        assert difference(loaded.stats[name], state.params[name]) == 0
    first = loaded.params["attributes"]["params"]["shapes"]["Conv_0"]
    assert difference(first, state.params["landmarks"]["params"]["Conv_0"]) == 0
    assert system.schedule(0) == ("ridge", "cross_adversarial")
    wrong = tiny_identity.config(
        encoders__steps=0,
        encoders__identity=str(tmp_path / "landmarks"),
        encoders__landmarks=str(tmp_path / "landmarks"),
    )
    with pytest.raises(UserError, match="landmark_regressor"):
        systems.build(wrong).init_from(numbered(system))
