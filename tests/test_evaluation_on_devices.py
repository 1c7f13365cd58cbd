"""Devices share the batches of an evaluation by rows; the scores are those of one device."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from input_pipeline.datasets import open_source
from input_pipeline.selection import Subset
from l2s_jax import evaluation
from l2s_jax.training import parallel
from l2s_jax.types import Scorer
from tests.helpers import fake_system
from tests.helpers.two_hosts import joined_run, run_both

ROOT = Path(__file__).parents[1]
OPTIONS = {"image_size": fake_system.SIDE, "batch_size": 3}

FOUR_DEVICES = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.helpers import xla_flags
xla_flags.set_up(devices=4)
from tests import test_evaluation_on_devices
test_evaluation_on_devices.print_scores()
"""


def faces():
    return open_source("synthetic:8?test", size=fake_system.SIDE)


def print_scores():
    """What `score` says on 1, 2 and 4 devices, and `evaluate` on 1 and 4, of a system with a codec."""
    system, variables = fake_system.build(fake_system.fake_config("regions")), fake_system.variables()
    some = {count: OPTIONS | {"devices": jax.devices()[:count]} for count in (1, 2, 4)}
    flat = [evaluation.score(system, variables, faces(), **some[count]) for count in (1, 2, 4)]
    full = [evaluation.evaluate(system, variables, faces(), **some[count], seed=1, panels=0) for count in (1, 4)]
    print(json.dumps([flat, [each.metrics | {"effect": each.arrays["effect"].tolist()} for each in full]]))


def test_scores_do_not_depend_on_the_number_of_devices():
    """Batches of three: devices hold different numbers of faces, and some of a batch none."""
    done = subprocess.run([sys.executable, "-c", FOUR_DEVICES, str(ROOT)], stdout=subprocess.PIPE, check=True)
    for expected, *others in json.loads(done.stdout.splitlines()[-1]):
        for found in others:
            assert_close(found, expected)


def assert_close(found, expected):
    found, expected = (dict(jax.tree.leaves_with_path(tree)) for tree in (found, expected))
    assert found.keys() == expected.keys()
    for path, value in expected.items():
        assert found[path] == (value if isinstance(value, str) else pytest.approx(value, *[tolerance(path)] * 2))


def tolerance(path):
    """Kernels between eight faces in float32 make a hundredfold of the rounding errors in their codes."""
    kernels = ("dependence", "hsic", "hsic_null", "joint_dependence", "colour_probe")
    return 1e-4 if any(f"['{name}']" in jax.tree_util.keystr(path) for name in kernels) else 1e-6


def test_every_device_computes_its_rows_and_gets_the_variables_once(monkeypatch):
    system, calls, segment = fake_system.build(fake_system.fake_config("none")), [], evaluation._segment

    def watched(*arguments):
        calls.append((arguments, segment(*arguments)))
        return calls[-1][1]

    monkeypatch.setattr(evaluation, "_segment", watched)
    with jax.transfer_guard_host_to_device("disallow"):  # what is not put on the devices would be sent with each call
        evaluation.score(system, fake_system.variables(), faces(), **OPTIONS)
    assert len(calls) == 3
    for (_, _, variables, batch), (probabilities, labels, counts) in calls:
        for ours, first in zip(*map(jax.tree.leaves, (variables, calls[0][0][2])), strict=True):
            assert ours is first
            assert ours.sharding.is_fully_replicated
            assert len(ours.sharding.device_set) == 2
        for rows in (batch["image"], batch["mask"], probabilities, labels):
            assert [shard.data.shape[0] for shard in rows.addressable_shards] == [2, 2]
        assert counts.sharding.is_fully_replicated

    def operations(devices):
        mesh = parallel.local_mesh(jax.devices()[:devices])
        placed = parallel.put_state(fake_system.variables(), mesh), parallel.global_batch(jax.device_get(batch), mesh)
        return segment.lower(system.predict, counts.shape[0], *placed).compile().cost_analysis()["flops"]

    assert operations(2) < 0.6 * operations(1)


def brightness():
    """A system that does not segment."""
    scorer = Scorer(
        names=("brightness.mean",),
        collect=lambda variables, batch: {"mean": batch["image"].mean((1, 2, 3))},
        summary=lambda rows, untrained: {
            "brightness": {"mean": float(rows["mean"].mean()), "last": float(rows["mean"][-1]), "of": len(rows["mean"])}
        },
        pictures=lambda variables, batch: {"faces": batch["image"][None]},
    )
    system = fake_system.build(fake_system.fake_config("none"))
    return dataclasses.replace(system, predict=None, scorer=scorer)


def final_scores(variables):
    """All scores of seven faces in batches of four, the last one padded; and the whole numbers among the arrays."""
    source, options = Subset(faces(), 0, 7), OPTIONS | {"batch_size": 4, "seed": 1}
    system = fake_system.build(fake_system.fake_config("regions"))
    results = [evaluation.evaluate(each, variables, source, **options, panels=3) for each in (system, brightness())]
    kept = ("confusion", "image", "truth", "prediction", "grid/faces")
    arrays = [{name: each.arrays[name].tolist() for name in kept if name in each.arrays} for each in results]
    return [each.metrics for each in results] + arrays


def host(process, port, workdir):
    """One of two processes: it scores variables that are stored in parts on the devices of both."""

    def scored():
        parallel.FSDP_MIN_SIZE = 1
        system = fake_system.build(fake_system.fake_config("none"))
        stored = parallel.put_state(fake_system.variables(), parallel.make_mesh("jit", 2))
        whole = parallel.everywhere(stored)
        for part, leaf in zip(*map(jax.tree.leaves, (stored, whole)), strict=True):
            assert not part.is_fully_replicated
            assert leaf.sharding.device_set == set(jax.local_devices())
        some = [
            evaluation.score(each, whole, faces(), **OPTIONS | {"batch_size": 6}) for each in (system, brightness())
        ]
        print(json.dumps({"answer": [*some, *final_scores(whole)]}))
        return 0

    return joined_run(process, port, workdir, scored)


@pytest.mark.slow
def test_two_processes_score_as_one(tmp_path):
    systems, variables = (fake_system.build(fake_system.fake_config("none")), brightness()), fake_system.variables()
    expected = [evaluation.score(system, variables, faces(), **OPTIONS) for system in systems]
    expected += final_scores(variables)
    codes, outputs = run_both(__name__, tmp_path)
    assert codes == [0, 0], outputs
    for output in outputs:
        answer = next(line for line in output.splitlines() if line.startswith("{"))
        assert_close(json.loads(answer)["answer"], expected)
