import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import SingleDeviceSharding

import l2s_jax
from input_pipeline.errors import UserError
from l2s_jax.training import checkpoints, parallel
from l2s_jax.training.checkpoints import Checkpoint
from l2s_jax.types import TrainState


def make_state(step=3, width=200, name="encoder"):
    kernel = jax.random.normal(jax.random.key(step), (128, width))
    return TrainState(
        step=jnp.int32(step),
        rng=jax.random.key(7),
        params={name: {"kernel": kernel}},
        stats={},
        ema={name: {"kernel": kernel.astype(jnp.bfloat16)}},
        opt_state={"adam": (jnp.int32(1), {"mu": kernel * 2})},
    )


def abstract(mesh, **kwargs):
    return parallel.abstract_state(lambda _: make_state(**kwargs), jax.random.key(0), mesh)


def write(folder, step, keep=2):
    checkpoint = Checkpoint(make_state(step), {"next": step}, {"evaluated": step}, {"seed": 3})
    return checkpoints.save(folder, checkpoint, keep).result()


def no_warning(text):
    raise AssertionError(text)


@pytest.mark.parametrize(("before", "after"), [((1, 1), (2, 2)), ((2, 2), (1, 1)), ((2, 1), (2, 2))])
def test_round_trip_onto_other_devices(tmp_path, before, after):
    """`before` and `after`: devices, and how many of them share one copy of the state (`parallel.fsdp`)."""
    meshes = [parallel.make_mesh("jit", fsdp, jax.devices()[:count]) for count, fsdp in (before, after)]
    state = parallel.put_state(make_state(), meshes[0])
    checkpoints.save(tmp_path, Checkpoint(state, {"next": 3}, {"best": None}), keep=2).result()
    like = abstract(meshes[1])
    found = checkpoints.restore(tmp_path, like, no_warning)
    assert (found.loader, found.progress) == ({"next": 3}, {"best": None})
    assert jax.tree.structure(found.state) == jax.tree.structure(state)
    for a, b, wanted in zip(*map(jax.tree.leaves, (found.state, state, like)), strict=True):
        assert a.dtype == b.dtype
        assert a.sharding == wanted.sharding
        bits = jax.random.key_data if jax.dtypes.issubdtype(a.dtype, jax.dtypes.prng_key) else np.asarray
        np.testing.assert_array_equal(bits(a), bits(b))


EIGHT_DEVICES = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.training.test_checkpoints import test_round_trip_onto_other_devices as round_trip
moves = [((8, 1), (1, 1)), ((1, 1), (4, 1)), ((8, 1), (8, 8)), ((8, 4), (2, 2)), ((4, 2), (8, 8)), ((8, 8), (1, 1))]
for number, (before, after) in enumerate(moves):
    round_trip(Path(sys.argv[2], str(number)), before, after)
"""


@pytest.mark.slow
def test_round_trip_between_one_and_eight_devices(tmp_path):
    environment = os.environ | {"XLA_FLAGS": "--xla_force_host_platform_device_count=8", "JAX_PLATFORMS": "cpu"}
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", EIGHT_DEVICES, root, tmp_path], env=environment, check=True, timeout=300)


def test_the_state_may_be_overwritten_while_it_is_written(tmp_path):
    numbers = jax.random.normal(jax.random.key(0), (32, 2**16))  # 8 MiB: the thread is not done at once
    state = make_state().replace(params={"w": numbers + 0})
    overwrite = jax.jit(lambda state: jax.tree.map(lambda w: w * 0 - 1, state), donate_argnums=0)
    saved = checkpoints.save(tmp_path, Checkpoint(state, {}, {}), 1)
    params = state.params
    for _ in range(5):
        params = overwrite(params)
    like = jax.eval_shape(lambda: state.replace(params={"w": numbers}))
    found = checkpoints.restore_state(saved.result(), jax.tree.map(on_one_device, like))
    np.testing.assert_array_equal(found.params["w"], numbers)
    np.testing.assert_array_equal(params["w"], -1 + 0 * numbers)


def on_one_device(leaf):
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=SingleDeviceSharding(jax.devices()[0]))


def test_config_and_code_are_in_the_checkpoint(tmp_path):
    meta = json.loads((write(tmp_path, 1) / checkpoints.META).read_text())
    assert checkpoints.saved_config(tmp_path) == meta["config"] == {"seed": 3}
    assert meta["provenance"]["versions"]["l2s_jax"] == l2s_jax.__version__
    assert meta["provenance"].keys() >= {"commit", "command", "date", "hardware"}
    (write(tmp_path, 2) / checkpoints.META).write_text("{")
    assert checkpoints.saved_config(tmp_path) == {"seed": 3}
    assert checkpoints.saved_config(tmp_path / "none") is None


def test_keeps_the_newest_and_drops_an_abandoned_future(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, step)
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == ["00000003", "00000002"]
    write(tmp_path, 2)
    assert [path.name for path in checkpoints.checkpoints(tmp_path)] == ["00000002"]
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_nothing_saved_is_not_an_error(tmp_path):
    assert checkpoints.restore(tmp_path / "none", abstract(parallel.make_mesh("jit", 1)), no_warning) is None


def test_a_save_that_was_killed_leaves_the_one_before(tmp_path):
    write(tmp_path, 1)
    (tmp_path / ".00000002.tmp" / "state").mkdir(parents=True)
    found = checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1)), no_warning)
    assert found.state.step == 1
    write(tmp_path, 3)
    assert checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1)), no_warning).state.step == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000001", "00000003"]


def biggest(folder):
    return max((path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)


def truncate(folder):
    with biggest(folder).open("r+b") as file:
        file.truncate(100)


def flip_a_bit(folder):
    file = biggest(folder)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "wrong size"),
        (flip_a_bit, "has changed"),
        (lambda folder: biggest(folder).unlink(), "is missing"),
        (lambda folder: (folder / "manifest.json").unlink(), "manifest.json is missing"),
        (lambda folder: (folder / "manifest.json").write_text('{"meta.json"'), "manifest.json is unreadable"),
        (lambda folder: (folder / "manifest.json").write_text("[1]"), "manifest.json is unreadable"),
    ],
)
def test_damage_is_reported_and_the_one_before_is_used(tmp_path, damage, words):
    write(tmp_path, 1)
    damage(write(tmp_path, 2))
    warnings = []
    found = checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1)), warnings.append)
    assert found.state.step == 1
    assert len(warnings) == 1
    assert words in warnings[0]
    assert "00000002" in warnings[0]


def test_all_damaged_is_an_error(tmp_path):
    truncate(write(tmp_path, 1))
    with pytest.raises(UserError, match=r"no checkpoint in .* is complete"):
        checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1)), lambda text: None)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"width": 199}, r"params/encoder/kernel is float32\[128, 200\] .* and float32\[128, 199\] in this config"),
        ({"name": "mapper"}, r"params/mapper/kernel is missing in the checkpoint"),
        ({"width": 199}, rf"\(written by l2s_jax {l2s_jax.__version__}, commit .*\) belongs to another model"),
    ],
)
def test_checkpoint_of_another_model(tmp_path, other, message):
    write(tmp_path, 3)
    with pytest.raises(UserError, match=message):
        checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1), **other), no_warning)


def test_a_network_that_only_the_checkpoint_has(tmp_path):
    write(tmp_path, 3)
    like = abstract(parallel.make_mesh("jit", 1)).replace(ema={})
    with pytest.raises(UserError, match=r"ema/encoder/kernel is bfloat16\[128, 200\] in the checkpoint and missing"):
        checkpoints.restore(tmp_path, like, no_warning)


def test_unwritable_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write checkpoint .*Not a directory"):
        write(tmp_path / "file" / "latest", 1)


def test_a_write_that_fails_half_way_leaves_nothing_and_spares_the_one_before(tmp_path):
    write(tmp_path, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # a disk that is full after 20 kB
    try:
        with pytest.raises(UserError, match=r"cannot write checkpoint .*00000002 \(File too large\); free some space"):
            write(tmp_path, 2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["00000001"]
    assert checkpoints.restore(tmp_path, abstract(parallel.make_mesh("jit", 1)), no_warning).state.step == 1


def test_a_full_disk_is_noticed_before_writing(tmp_path, monkeypatch):
    usage = checkpoints.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(checkpoints.shutil, "disk_usage", lambda _: usage._replace(free=1000))
    with pytest.raises(UserError, match="it needs 0 MiB and 0 MiB are free"):
        write(tmp_path, 1)
    assert not list(tmp_path.iterdir())
