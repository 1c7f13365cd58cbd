import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax import optim


def make(**fields):
    config = optim.default_config()
    config.update(fields)
    return config


def updates(config, gradients, params, accumulate=1):
    transform = optim.build(config, accumulate=accumulate)
    state = transform.init(params)
    found = []
    for gradient in gradients:
        update, state = transform.update(gradient, state, params)
        found.append(update)
    return found


def test_adam_first_updates_have_the_size_of_the_learning_rate():
    params = {"w": jnp.zeros(3)}
    gradient = {"w": jnp.array([1.0, -20.0, 0.5])}
    for update in updates(make(learning_rate=0.1, eps=1e-12), [gradient] * 3, params):
        np.testing.assert_allclose(update["w"], [-0.1, 0.1, -0.1], rtol=3e-5)


def test_betas_are_those_of_the_config():
    first, second = updates(
        make(learning_rate=1.0, b1=0.0, b2=0.5), [{"w": jnp.ones(1)}, {"w": 3 * jnp.ones(1)}], {"w": jnp.ones(1)}
    )
    np.testing.assert_allclose(first["w"], -1, rtol=1e-5)
    second_moment = (0.5 * 0.5 * 1 + 0.5 * 9) / (1 - 0.5**2)
    np.testing.assert_allclose(second["w"], -3 / np.sqrt(second_moment), rtol=1e-5)


def test_adamw_decays_matrices_and_spares_vectors():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    zero = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    (update,) = updates(make(name="adamw", learning_rate=0.1, weight_decay=0.01), [zero], params)
    np.testing.assert_allclose(update["kernel"], -0.1 * 0.01, rtol=1e-5)
    np.testing.assert_array_equal(update["bias"], 0)


def test_adamw_may_decay_everything():
    params = {"kernel": jnp.ones((2, 2)), "bias": jnp.ones(2)}
    zero = {"kernel": jnp.zeros((2, 2)), "bias": jnp.zeros(2)}
    config = make(name="adamw", learning_rate=0.1, weight_decay=0.01, decay_vectors=True)
    (update,) = updates(config, [zero], params)
    for leaf in update.values():
        np.testing.assert_allclose(leaf, -0.1 * 0.01, rtol=1e-5)


def test_stages_learn_the_slower_the_nearer_they_are_to_the_input():
    params = {"stem": {"w": jnp.ones(2)}, "last": {"w": jnp.ones(2)}, "head": {"w": jnp.ones(2)}}
    stage = {"stem": 0, "last": 2, "head": None}
    factor = optim.stage_decay(lambda path: stage[path[0]], last=2, decay=0.5)
    config = make(learning_rate=0.1, clip_norm=1.0)
    transform = optim.build(config, factor)
    update, _ = transform.update(params, transform.init(params), params)
    for name, expected in (("stem", 0.1 / 8), ("last", 0.1 / 2), ("head", 0.1)):
        np.testing.assert_allclose(update[name]["w"], -expected, rtol=1e-4)


def test_clipping_is_by_the_global_norm():
    gradient = {"a": jnp.array([30.0]), "b": jnp.array([40.0])}
    config = make(learning_rate=1.0, b1=0.0, b2=0.0, eps=1e8, clip_norm=5.0)  # a huge eps makes Adam linear
    (update,) = updates(config, [gradient], gradient)
    np.testing.assert_allclose([update["a"][0], update["b"][0]], [-3e-8, -4e-8], rtol=1e-5)


@pytest.mark.parametrize(
    ("fields", "rates"),
    [
        ({}, [1, 1, 1, 1, 1, 1, 1]),
        ({"warmup_steps": 4}, [0.25, 0.5, 0.75, 1, 1, 1, 1]),
        ({"warmup_steps": 1}, [1, 1, 1, 1, 1, 1, 1]),
        ({"decay": "linear", "total_steps": 4}, [1, 0.75, 0.5, 0.25, 0, 0, 0]),
        ({"decay": "linear", "warmup_steps": 2, "total_steps": 4}, [0.5, 1, 1, 0.5, 0, 0, 0]),
        ({"decay": "steps", "milestones": (2, 5)}, [1, 1, 0.1, 0.1, 0.1, 0.01, 0.01]),
        ({"decay": "steps", "milestones": (3,), "step_factor": 0.2, "warmup_steps": 2}, [0.5, 1, 1, *[0.2] * 4]),
        ({"decay": "cosine", "total_steps": 4}, [1, 0.5 + 0.5**1.5, 0.5, 0.5 - 0.5**1.5, 0, 0, 0]),
    ],
)
def test_schedules(fields, rates):
    rate = optim.schedule(make(learning_rate=2.0, **fields))
    np.testing.assert_allclose([rate(step) for step in range(7)], 2.0 * np.array(rates), atol=1e-6)


def test_accumulated_calls_make_an_update_with_the_mean_gradient():
    config = make(learning_rate=0.1, decay="linear", total_steps=4, clip_norm=1.0, eps=1e-3)
    gradients, params = 5 * np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32), jnp.zeros(4)
    found = updates(config, jnp.asarray(gradients), params, accumulate=3)
    np.testing.assert_allclose(found[2::3], updates(config, gradients.reshape(2, 3, 4).mean(1), params), rtol=1e-5)
    np.testing.assert_array_equal(np.array(found)[[0, 1, 3, 4]], 0)


def test_the_schedule_counts_updates():
    config = make(learning_rate=2.0, decay="linear", warmup_steps=2, total_steps=4, eps=1e-12)
    found = updates(config, [jnp.ones(())] * 8, jnp.zeros(()), accumulate=2)
    np.testing.assert_allclose(found, [0, -1, 0, -2, 0, -2, 0, -1], rtol=3e-5)


def test_lazy_correction_of_stylegan2():
    config = make(learning_rate=0.002, b1=0.5, b2=0.99)
    lazy = optim.for_lazy_regularization(config, 16)
    assert lazy.learning_rate == pytest.approx(0.002 * 16 / 17)
    assert lazy.b1 == pytest.approx(0.5 ** (16 / 17))
    assert lazy.b2 == pytest.approx(0.99 ** (16 / 17))
    assert config.learning_rate == 0.002


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"decay": "steps"}, "decay=steps is what needs milestones"),
        ({"milestones": (3,)}, "decay='constant' with milestones"),
        ({"decay": "steps", "milestones": (5, 5)}, "must grow"),
        ({"decay": "steps", "milestones": (5,), "warmup_steps": 5}, "come after the 5 updates of the warm-up"),
        ({"decay": "cosine"}, "cosine decay needs total_steps > warmup_steps, not 0 and 0"),
        ({"weight_decay": 0.1}, "use name=adamw"),
    ],
)
def test_contradictions_are_named(fields, message):
    with pytest.raises(UserError, match=message):
        optim.build(make(**fields))


def test_ema_warms_up_and_converges():
    ema = optim.ema_update({"w": jnp.zeros(2)}, {"w": jnp.ones(2)}, 0, 0.999)
    np.testing.assert_allclose(ema["w"], 0.9, rtol=1e-6)
    late = optim.ema_update({"w": jnp.zeros(2)}, {"w": jnp.ones(2)}, 10**6, 0.999)
    np.testing.assert_allclose(late["w"], 0.001, rtol=1e-4)
    same = optim.ema_update({"w": jnp.full(2, 0.3)}, {"w": jnp.full(2, 0.3)}, 5, 0.999)
    np.testing.assert_array_equal(same["w"], jnp.full(2, 0.3))


def test_while_weights_stand_still_the_average_decays_as_in_one_update():
    average, weights = jnp.zeros(()), [0.0, 0.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0]  # an update on every third batch
    for step, new in enumerate(weights):
        average = optim.ema_update(average, jnp.float32(new), step, 0.15, accumulate=3)
    first = 1 / 10 * 0 + 9 / 10 * 1.0
    np.testing.assert_allclose(average, 0.15 * first + 0.85 * 3.0, rtol=1e-6)


def test_a_decay_without_an_end_ends_with_the_training():
    config = optim.default_config()
    config.decay, config.warmup_steps = "cosine", 10
    assert optim.with_total_steps(config, 100).total_steps == 100
    assert optim.with_total_steps(config, 4).total_steps == 11  # shorter than its warm-up: still a schedule
    config.total_steps = 50
    assert optim.with_total_steps(config, 100).total_steps == 50
