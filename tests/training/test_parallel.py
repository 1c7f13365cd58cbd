import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec as P

from input_pipeline.errors import UserError
from input_pipeline.labels import IGNORE
from l2s_jax.training import parallel
from l2s_jax.types import TrainState, unpacked
from tests.helpers.compilation_count import CompilationCount
from tests.helpers.toy_system import Batches, build, toy_config

STEPS = 6
LAYOUTS = [("jit", 1, 2), ("jit", 2, 2), ("pmap", 1, 2), ("shard_map", 1, 1), ("shard_map", 1, 2)]


def run(config, mode, fsdp, devices):
    """Final state and metrics of some steps of the toy; and the programs compiled after the first round of steps."""
    mesh = parallel.make_mesh(mode, fsdp, jax.devices()[:devices])
    system, batches, throttle = build(config), Batches(config), parallel.Throttle()
    state = parallel.init_state(system.init, jax.random.key(0), mesh)
    steps = {name: parallel.data_parallel(step, mesh, mode) for name, step in system.steps.items()}
    history, compiled = [], []
    with CompilationCount() as compilations:
        for number in range(STEPS):
            batch = parallel.global_batch(next(batches), mesh)
            names = system.schedule(number)
            for place, name in enumerate(names, start=1):
                state, metrics = steps[name](state, batch, last=place == len(names))
                throttle(state, metrics)
                history.append(metrics)
            compiled.append(compilations.count)
    assert compiled[0] >= 2
    assert int(state.step) == STEPS
    return state, jax.device_get(history), compiled[-1] - compiled[1]


def arrays(state):
    return jax.device_get(state.replace(rng=jax.random.key_data(state.rng)))


@pytest.fixture(scope="module")
def reference():
    return run(toy_config(), "jit", 1, 1)


@pytest.mark.parametrize(("mode", "fsdp", "devices"), LAYOUTS)
def test_every_layout_computes_the_same_numbers(reference, mode, fsdp, devices):
    state, metrics, compiled_late = run(toy_config(), mode, fsdp, devices)
    assert compiled_late == 0
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), arrays(state), arrays(reference[0]))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), metrics, reference[1])


def test_the_toy_learns_in_the_reference(reference):
    initial = build(toy_config()).init(jax.random.key(0))
    moved = jax.tree.map(lambda a, b: float(jnp.abs(a - b).max()), initial.params, jax.device_get(reference[0].params))
    assert min(jax.tree.leaves(moved)) > 1e-3


def test_bfloat16_networks_keep_float32_states(reference):
    config = toy_config()
    with config.unlocked():
        config.precision.compute = "bfloat16"
    state, metrics, _ = run(config, "shard_map", 1, 2)
    assert {leaf.dtype for leaf in jax.tree.leaves(state.params)} == {jnp.dtype("float32")}
    assert metrics[0]["critic_loss"] == pytest.approx(reference[1][0]["critic_loss"], rel=2**-7)
    assert metrics[0]["critic_loss"] != reference[1][0]["critic_loss"]
    # Adam moves a weight by at most the learning rate per update, whatever rounding does to its gradient.
    most = 2 * STEPS * config.optim.auto.learning_rate
    pairs = arrays(state).params, arrays(reference[0]).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=most), *pairs)


def test_fsdp_shards_large_arrays_and_no_others():
    mesh = parallel.make_mesh("jit", 2)
    state = parallel.init_state(build(toy_config()).init, jax.random.key(0), mesh)
    assert state.params["auto"]["encode"].sharding.spec == P(None, "fsdp")
    assert state.params["auto"]["encode"].addressable_shards[0].data.shape == (48, 176)
    assert state.params["auto"]["decode"].sharding.is_fully_replicated
    assert state.step.sharding.is_fully_replicated


def holding(w):
    """A state of four weights."""
    return TrainState(jnp.int32(0), jax.random.key(0), {"w": w}, {}, {}, {})


@pytest.mark.parametrize("mode", parallel.MODES)
def test_batches_travel_as_bytes_and_become_numbers_inside_the_step(mode):
    image = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
    image[0, 0, 0] = 0, 51, 255
    batch = {"image": image, "mask": np.full((4, 8, 8), IGNORE, np.uint8), "blobs": np.full((4, 8, 8), -1, np.int16)}
    seen = {}

    def step(state, batch, axis):
        seen.update({name: array.dtype.name for name, array in batch.items()})
        return state, {name: axis.all_gather(array) for name, array in batch.items()}

    mesh = parallel.make_mesh(mode, 1)
    placed = parallel.global_batch(batch, mesh)
    assert sum(array.nbytes for array in placed.values()) == 4 * 8 * 8 * (3 + 1 + 2)
    _, found = parallel.data_parallel(step, mesh, mode)(parallel.put_state(holding(jnp.ones(4)), mesh), placed)
    assert seen == {"image": "float32", "mask": "int32", "blobs": "int32"}
    np.testing.assert_allclose(found["image"][0, 0, 0], [-1, -0.6, 1], rtol=1e-6)
    assert (np.all(found["mask"] == IGNORE), np.all(found["blobs"] == -1)) == (True, True)
    np.testing.assert_array_equal(found["image"], unpacked(batch)["image"])  # to the bit, though by another compiler
    jax.tree.map(np.testing.assert_array_equal, unpacked(found), found)  # what is unpacked stays


@pytest.mark.parametrize("mode", parallel.MODES)
def test_the_state_is_donated_and_the_batch_is_not(mode):
    mesh = parallel.make_mesh(mode, 1)
    state = parallel.put_state(holding(jnp.ones(4)), mesh)
    batch = parallel.global_batch({"x": np.ones(4, np.float32)}, mesh)

    def step(state, batch, axis):
        return state.replace(params={"w": state.params["w"] + axis.psum(batch["x"].sum())}), {}

    after, _ = parallel.data_parallel(step, mesh, mode)(state, batch)
    np.testing.assert_array_equal(after.params["w"], np.full(4, 5))
    assert state.params["w"].is_deleted()
    assert not batch["x"].is_deleted()


@pytest.mark.parametrize(("mode", "fsdp"), [("jit", 1), ("jit", 2), ("shard_map", 1)])
def test_what_is_compiled_ahead_is_not_compiled_again(mode, fsdp):
    mesh = parallel.make_mesh(mode, fsdp)
    state = parallel.put_state(holding(jnp.ones(4)), mesh)
    batch = parallel.global_batch({"x": np.ones(4, np.float32)}, mesh)
    step = parallel.data_parallel(lambda state, batch, axis: (state, {"sum": axis.psum(batch["x"].sum())}), mesh, mode)
    with CompilationCount() as compilations:
        step.compile(state, batch)
        assert compilations.count == 1
        assert float(step(state, batch)[1]["sum"]) == 4
        assert compilations.count == 1


def test_fsdp_stores_in_parts_and_computes_with_whole_weights():
    mesh = parallel.make_mesh("jit", 2)
    state = parallel.put_state(holding(jnp.ones((256, 64))), mesh)
    seen = {}

    def step(state, batch, axis):
        def look(name, x):
            jax.debug.inspect_array_sharding(x, callback=lambda sharding: seen.update({name: sharding}))
            return x

        def loss(w):
            return axis.psum((batch["x"] @ look("weights", w)).sum())

        gradient = look("gradient", axis.pmean(jax.grad(loss)(state.params["w"])))
        return state.replace(params={"w": state.params["w"] - gradient}), {}

    batch = parallel.global_batch({"x": np.ones((4, 256), np.float32)}, mesh)
    after, _ = parallel.data_parallel(step, mesh, "jit")(state, batch)
    assert after.params["w"].addressable_shards[0].data.shape == (128, 64)
    assert {name: sharding.is_fully_replicated for name, sharding in seen.items()} == {
        "weights": True,
        "gradient": True,
    }
    whole = parallel.everywhere(after.params)["w"]
    assert whole.sharding.is_fully_replicated
    np.testing.assert_array_equal(whole, np.full((256, 64), -3))


@pytest.mark.parametrize("mode", parallel.MODES)
def test_frozen_arguments_reach_the_step_and_stay(mode):
    mesh = parallel.make_mesh(mode, 1)
    frozen = parallel.put_state({"scale": {"by": jnp.arange(4.0)}}, mesh)
    batch = parallel.global_batch({"x": np.ones(4, np.float32)}, mesh)

    def step(state, batch, axis, scale):
        return state.replace(params={"w": state.params["w"] + scale["by"] * axis.psum(batch["x"].sum())}), {}

    run = parallel.data_parallel(step, mesh, mode, frozen)
    state = parallel.put_state(holding(jnp.zeros(4)), mesh)
    for last in (False, True):  # two steps on one batch
        state, _ = run(state, batch, last=last)
        assert int(state.step) == last
    np.testing.assert_array_equal(state.params["w"], [0, 8, 16, 24])
    assert not frozen["scale"]["by"].is_deleted()


@pytest.mark.parametrize(("mode", "fsdp", "devices"), LAYOUTS)
def test_operations_are_those_of_one_device(mode, fsdp, devices):
    mesh = parallel.make_mesh(mode, fsdp, jax.devices()[:devices])
    state = parallel.put_state(holding(jnp.ones((256, 64))), mesh)
    batch = parallel.global_batch({"x": np.ones((4, 256), np.float32)}, mesh)

    traces = []

    def step(state, batch, axis):
        traces.append(mode)
        loss = axis.psum((batch["x"] @ state.params["w"]).sum())
        return state, {"loss": loss}

    run = parallel.data_parallel(step, mesh, mode)
    state, _ = run(state, batch)
    before = len(traces)
    assert run.flops(state, batch) == 2 * 4 * 256 * 64 / devices
    assert len(traces) == before


def test_axis_operations_on_two_devices():
    mesh = parallel.make_mesh("shard_map", 1)
    rows = np.arange(4, dtype=np.float32)

    def step(state, batch, axis):
        x = batch["x"]
        everyone = axis.all_gather(x)
        variance = lambda scale: axis.pmean(jnp.square(scale * x - axis.pmean(scale * x.mean())).mean())  # noqa: E731
        turned = jax.jvp(lambda v: axis.psum(v.sum()), (x,), (jnp.ones_like(x),))
        weights = jnp.arange(4.0)
        through = jax.grad(lambda v: (axis.local_rows(axis.all_gather(v)[::-1]) * axis.local_rows(weights)).sum())(x)
        return state, {
            "total": axis.psum({"x": x.sum()})["x"],
            "everyone": everyone,
            "local": axis.all_gather(axis.local_rows(everyone * 10)),
            "slope": axis.pmean(jax.grad(variance)(jnp.float32(1))),
            "curvature": axis.pmean(jax.grad(lambda s: axis.pmean(jax.grad(variance)(s)) ** 2)(jnp.float32(1))),
            "turned": turned[1],
            "through": axis.all_gather(through),
        }

    _, found = parallel.data_parallel(step, mesh, "shard_map")(
        holding(jnp.zeros(())), parallel.global_batch({"x": rows}, mesh)
    )
    assert found["total"] == 6
    np.testing.assert_array_equal(found["everyone"], rows)
    np.testing.assert_array_equal(found["local"], rows * 10)
    assert found["slope"] == 2 * rows.var()
    assert found["curvature"] == 2 * (2 * rows.var()) ** 2
    assert found["turned"] == 4
    np.testing.assert_array_equal(found["through"], [3, 2, 1, 0])


@pytest.mark.parametrize(
    ("mode", "fsdp", "message"),
    [
        ("tpu", 1, "unknown parallel.mode 'tpu'"),
        ("jit", 3, "parallel.fsdp=3 does not divide the 2 devices"),
        ("jit", 0, "parallel.fsdp=0 does not divide"),
        ("pmap", 2, "needs parallel.mode=jit"),
    ],
)
def test_impossible_layouts_are_named(mode, fsdp, message):
    with pytest.raises(UserError, match=message):
        parallel.make_mesh(mode, fsdp)


def test_put_state_places_like_init_state():
    mesh = parallel.make_mesh("jit", 2)
    init = build(toy_config()).init
    placed = parallel.put_state(jax.jit(init)(jax.random.key(0)), mesh)
    made = parallel.init_state(init, jax.random.key(0), mesh)
    assert jax.tree.map(lambda x: x.sharding, placed) == jax.tree.map(lambda x: x.sharding, made)
    jax.tree.map(np.testing.assert_array_equal, arrays(placed).params, arrays(made).params)


def test_throttle_waits_for_the_oldest_step_and_for_steps_without_metrics(monkeypatch):
    awaited = []
    monkeypatch.setattr(jax, "block_until_ready", awaited.append)
    throttle = parallel.Throttle(limit=2)
    for number in range(4):
        throttle("state", {"loss": number})
    throttle("last", {})
    assert awaited == [{"loss": 0}, {"loss": 1}, "last", {"loss": 2}]
