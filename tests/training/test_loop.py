"""The order and the book-keeping of the loop, with a system of one number that compiles at once."""

import dataclasses
import io
import json
import os
import re
import resource
import signal
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax.peaks import PEAKS
from l2s_jax.training import checkpoints, loop
from l2s_jax.types import System, TrainState
from tests.helpers.toy_system import Batches, toy_config


def counter(limit=10**9, actions=()):
    """A system that counts its steps in a parameter; its loss is NaN from step `limit` on.

    It runs `actions[n]` when step n (from 1) is about to begin.
    """
    actions = dict(actions)

    def schedule(step):
        actions.get(step + 1, lambda: None)()
        return ("count",)

    def init(rng):
        zero = {"net": {"count": jnp.zeros(())}}
        return TrainState(step=jnp.int32(0), rng=rng, params=zero, stats={}, ema={}, opt_state={})

    def step(state, batch, axis):
        count = state.params["net"]["count"] + 1
        examples = axis.psum(batch["weight"].shape[0] * jnp.ones(()))
        loss = jnp.where(count >= limit, jnp.nan, count)
        return state.replace(params={"net": {"count": count}}), {"loss": loss, "examples": examples}

    return System(
        name="counter",
        label_set=labels.CELEBAMASK,
        init=init,
        steps={"count": step},
        schedule=schedule,
        variables=lambda state: state.params,
        predict=lambda variables, image, landmarks=None: None,
    )


class Fussy(Batches):
    """Runs `actions[n]` when batch number n (from 1) is read."""

    def __init__(self, config, actions):
        super().__init__(config)
        self.actions, self.read = actions, []

    def __next__(self):
        batch = super().__next__()
        self.read.append(self._next)
        self.actions.get(self._next, lambda: None)()
        return batch


def train(
    tmp_path, evaluate=None, system=None, frozen=None, actions=(), console=None, resolution_schedule=(), **fields
):
    """Trains; returns the result, its batches, and (step, score) of the evaluations."""
    config, evaluations = toy_config(**fields), []
    with config.unlocked():
        config.data.resolution_schedule = resolution_schedule

    def score(variables):
        value = evaluate(variables) if evaluate else float(variables["net"]["count"])
        evaluations.append((int(variables["net"]["count"]), value))
        return {"score": value}

    batches = Fussy(config, dict(actions))
    result = loop.train(
        config,
        tmp_path,
        system=system or counter(),
        batches=batches,
        evaluate=score,
        frozen=frozen or {},
        console=console or Console(file=io.StringIO(), width=200),
    )
    return result, batches, evaluations


def history(tmp_path):
    return [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]


def saved(tmp_path, kind):
    return [int(path.name) for path in checkpoints.checkpoints(tmp_path / "checkpoints" / kind)]


def kill(number):
    return lambda: os.kill(os.getpid(), number)


def test_counts(tmp_path):
    result, batches, evaluations = train(tmp_path, steps=7, log_every=3, eval_every=2, save_every=3)
    assert (result.step, int(result.state.step), result.interrupted) == (7, 7, 0)
    assert batches.read == [1, 2, 3, 4, 5, 6, 7]
    assert batches.closed
    assert [step for step, _ in evaluations] == [2, 4, 6, 7]
    assert saved(tmp_path, "latest") == [7, 6]
    assert result.best == loop.Best(step=7, score=7.0)
    assert [line["step"] for line in history(tmp_path)] == [2, 3, 4, 6, 6, 7]


def test_a_run_goes_on_only_with_what_it_began_with(tmp_path):
    def with_teacher(value):
        def step(state, batch, axis, teacher):
            return plain.steps["count"](state, batch, axis)

        plain = counter()
        teacher = {"weights": jnp.full((2, 3), value), "steps": jnp.int32(7)}
        return {"system": dataclasses.replace(plain, steps={"count": step}), "frozen": {"teacher": teacher}}

    train(tmp_path, steps=2, **with_teacher(0.5))
    assert train(tmp_path, steps=4, **with_teacher(0.5))[0].step == 4
    before = history(tmp_path)
    message = f"the teacher in {re.escape(str(tmp_path))} differs from the one used up to step 4: restore it"
    for other in (with_teacher(0.25), {"system": counter()}):
        with pytest.raises(UserError, match=message):
            train(tmp_path, steps=6, **other)
    assert (history(tmp_path), saved(tmp_path, "latest")) == (before, [4, 2])
    assert train(tmp_path, steps=6, **with_teacher(0.5))[0].step == 6


def test_zero_means_only_at_the_end(tmp_path):
    _, _, evaluations = train(tmp_path, steps=4)
    assert evaluations == [(4, 4.0)]
    assert saved(tmp_path, "latest") == [4]


def test_logs_are_means_over_the_steps_since_the_last_log(tmp_path):
    train(tmp_path, steps=4, log_every=2)
    logs = [line for line in history(tmp_path) if "train/count/loss" in line]
    assert [(line["step"], line["train/count/loss"]) for line in logs] == [(2, 1.5), (4, 3.5)]
    for line in logs:
        assert line["train/count/examples"] == 8
        assert 0 <= line["perf/data_wait"] <= 1
        assert line["perf/images_per_second"] == pytest.approx(8 * line["perf/steps_per_second"])
        assert line["perf/tflops_per_device"] == 0  # it only counts
        assert "perf/mfu" not in line  # nobody knows the peak of this device


def test_speed_in_operations(tmp_path, monkeypatch):
    def step(state, batch, axis):
        state, metrics = counter().steps["count"](state, batch, axis)
        return state, metrics | {"product": (jnp.ones((3, 5)) * metrics["loss"] @ jnp.ones((5, 7))).sum()}

    monkeypatch.setitem(PEAKS, jax.devices()[0].device_kind, {"float32": 1e9})
    system = dataclasses.replace(counter(), steps={"count": step})
    train(tmp_path, system=system, steps=4, log_every=2)
    each = 2 * 3 * 5 * 7 / jax.device_count()
    for line in [line for line in history(tmp_path) if "train/count/loss" in line]:
        assert line["perf/tflops_per_device"] == pytest.approx(each * line["perf/steps_per_second"] / 1e12)
        assert line["perf/mfu"] == pytest.approx(each * line["perf/steps_per_second"] / 1e9)


def test_best_is_the_highest_score_and_not_the_last(tmp_path):
    scores = {2: 0.5, 4: 0.9, 6: 0.7, 8: float("nan")}
    result, _, _ = train(tmp_path, lambda v: scores[int(v["net"]["count"])], steps=8, eval_every=2)
    assert result.best == loop.Best(step=4, score=0.9)
    assert saved(tmp_path, "best") == [4]
    best = loop.exported_state(tmp_path, toy_config(), counter(), warn=pytest.fail)
    assert int(best.params["net"]["count"]) == 4


def test_the_last_state_is_exported_where_the_config_says_so(tmp_path):
    scores, fields = {2: 0.9, 4: 0.5}, {"steps": 4, "eval_every": 2}
    train(tmp_path, lambda v: scores[int(v["net"]["count"])], **fields)
    result, _, _ = train(tmp_path, **fields, export="last")  # a choice that may change: nothing is trained anew
    assert (result.step, result.best) == (4, loop.Best(2, 0.9))
    for export, step in {"best": 2, "last": 4}.items():
        state = loop.exported_state(tmp_path, toy_config(export=export), counter(), warn=pytest.fail)
        assert int(state.params["net"]["count"]) == step


def test_patience_ends_a_run_that_no_longer_improves_and_its_restart(tmp_path):
    scores = {2: 0.5, 4: 0.9, 6: 0.7, 8: 0.9, 10: 1.0}
    fields = {"steps": 12, "eval_every": 2, "patience": 2}
    result, _, evaluations = train(tmp_path, lambda v: scores[int(v["net"]["count"])], **fields)
    assert [step for step, _ in evaluations] == [2, 4, 6, 8]
    assert (result.step, result.best, saved(tmp_path, "latest")) == (8, loop.Best(4, 0.9), [8])
    result, _, evaluations = train(tmp_path, **fields)
    assert (result.step, int(result.state.step), evaluations) == (8, 8, [])
    result, _, _ = train(tmp_path, lambda v: 0.1, **fields | {"patience": 0})
    assert result.step == 12


def test_evaluations_at_smaller_sizes_do_not_try_the_patience(tmp_path):
    fields = {"steps": 12, "eval_every": 2, "patience": 2, "resolution_schedule": ((3, 8), (5, 16))}
    _, _, evaluations = train(tmp_path, lambda v: 1.0 / float(v["net"]["count"]), **fields)
    assert [step for step, _ in evaluations] == [2, 4, 6, 8, 10]  # the last size begins after step 5


def test_best_state_of_a_run_without_a_finite_score_is_the_latest(tmp_path):
    train(tmp_path, lambda v: float("nan"), steps=3)
    assert int(loop.exported_state(tmp_path, toy_config(), counter(), warn=pytest.fail).step) == 3
    with pytest.raises(UserError, match="holds no checkpoint"):
        loop.exported_state(tmp_path / "none", toy_config(), counter(), warn=pytest.fail)


def test_the_best_score_survives_a_restart(tmp_path):
    train(tmp_path, lambda v: 0.8, steps=2)
    result, _, _ = train(tmp_path, lambda v: 0.6, steps=4)
    assert result.best == loop.Best(step=2, score=0.8)
    assert saved(tmp_path, "best") == [2]


def test_a_score_that_the_faces_do_not_give_costs_the_best_and_not_the_run(tmp_path):
    screen = Console(file=io.StringIO(), width=200)
    result, _, _ = train(tmp_path, steps=2, best_metric="f1.hat", console=screen)
    assert (result.step, result.best, saved(tmp_path, "latest"), saved(tmp_path, "best")) == (2, None, [2], [])
    assert "step 2  no f1.hat: these faces have no such score; no new best" in screen.file.getvalue()


def test_the_score_that_chooses_the_best_may_change(tmp_path):
    train(tmp_path, lambda v: 9.0, steps=4, eval_every=2)
    assert saved(tmp_path, "best") == [2]
    for steps, evaluated, best in ((6, [6], loop.Best(6, 0.1)), (6, [], loop.Best(6, 0.1))):
        screen, config, seen = Console(file=io.StringIO(), width=200), toy_config(steps=steps), []
        with config.unlocked():
            config.train.best_metric = "other"

        def score(variables, seen=seen):
            seen.append(int(variables["net"]["count"]))
            return {"score": 10.0, "other": 0.1}

        options = {"system": counter(), "batches": Batches(config), "evaluate": score, "console": screen}
        result = loop.train(config, tmp_path, **options)
        assert (seen, result.best, saved(tmp_path, "best")) == (evaluated, best, [6])
        again = "train.best_metric has changed: the best checkpoint so far is dropped" in screen.file.getvalue()
        assert again == bool(evaluated)


def test_a_finished_run_is_scored_again_where_another_score_chooses(tmp_path):
    train(tmp_path, steps=3)
    result, batches, evaluations = train(tmp_path, lambda v: 0.5, steps=3, eval_examples=7)
    assert (batches.read, evaluations, result.best) == ([], [(3, 0.5)], loop.Best(3, 0.5))
    result, _, evaluations = train(tmp_path, lambda v: 0.7, steps=4, eval_examples=7)
    assert (evaluations, result.best) == ([(4, 0.7)], loop.Best(4, 0.7))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_finishes_the_step_saves_and_the_same_command_resumes(tmp_path, number):
    before = signal.getsignal(number)
    screen = Console(file=io.StringIO(), width=200)
    fields = {"steps": 6, "log_every": 1, "eval_every": 3}
    system = counter(actions={3: kill(number)})
    result, batches, evaluations = train(tmp_path, system=system, console=screen, **fields)
    assert (result.step, result.interrupted) == (3, number)
    assert (batches.get_state(), evaluations, saved(tmp_path, "latest")) == ({"next": 3}, [], [3])
    assert "stopped and saved at step 3 of 6; the same command resumes" in screen.file.getvalue()
    assert signal.getsignal(number) is before
    result, batches, evaluations = train(tmp_path, **fields)
    assert (result.step, result.interrupted, batches.read) == (6, 0, [4, 5, 6])
    assert [step for step, _ in evaluations] == [3, 6]  # the evaluation that the signal prevented is made up for


def test_a_signal_during_an_evaluation_is_obeyed_at_once(tmp_path):
    def slow(_):
        kill(signal.SIGTERM)()
        raise AssertionError("the evaluation went on")

    result, _, evaluations = train(tmp_path, slow, steps=4, eval_every=2)
    assert (result.interrupted, result.step, evaluations) == (signal.SIGTERM, 2, [])
    assert saved(tmp_path, "latest") == [2]


def test_the_time_limit_evaluates_saves_and_is_no_interruption(tmp_path):
    result, _, evaluations = train(tmp_path, steps=10**6, max_minutes=1e-3, log_every=1000)
    assert result.interrupted == 0
    assert 0 < result.step < 10**6
    assert evaluations == [(result.step, result.step)]
    assert saved(tmp_path, "latest") == [result.step]


def test_a_finished_run_has_nothing_left_to_do(tmp_path):
    train(tmp_path, steps=3)
    lines = history(tmp_path)
    result, batches, evaluations = train(tmp_path, steps=3)
    assert (result.step, batches.read, evaluations, result.best.score) == (3, [], [], 3.0)
    assert history(tmp_path) == lines


def test_a_loss_that_is_not_finite_stops_and_spares_the_checkpoint_before(tmp_path):
    with pytest.raises(UserError, match="loss of step 'count' became nan at step 5"):
        train(tmp_path, system=counter(limit=5), steps=20, save_every=2, log_every=3)
    assert saved(tmp_path, "latest") == [4, 2]
    with pytest.raises(UserError, match="became nan at step 6"):  # found before saving, though it is not logged yet
        train(tmp_path / "other", system=counter(limit=6), steps=20, save_every=6, log_every=20)
    assert saved(tmp_path / "other", "latest") == []


@pytest.mark.parametrize(("step", "log_every"), [(1, 3), (4, 3), (5, 3), (6, 3), (6, 20)])
def test_the_batch_of_a_loss_that_is_not_finite_is_saved(tmp_path, step, log_every):
    path = tmp_path / "not_finite" / f"{step}-0.npz"
    with pytest.raises(UserError, match=f"at step {step}; the checkpoint .*; its batch is in {path}"):
        train(tmp_path, system=counter(limit=step), steps=8, log_every=log_every)
    wanted = Batches(toy_config())
    for _ in range(step):
        batch = next(wanted)
    with np.load(path, allow_pickle=False) as found:
        assert set(found) == set(batch)
        for name in batch:
            np.testing.assert_array_equal(found[name], batch[name], strict=True)
    assert os.listdir(path.parent) == [path.name]


def test_a_batch_that_cannot_be_saved_does_not_hide_what_happened(tmp_path):
    (tmp_path / "not_finite").write_text("a file")
    with pytest.raises(
        UserError, match=r"became nan at step 2; the checkpoint .*; its batch is not saved: .*not_finite"
    ):
        train(tmp_path, system=counter(limit=2), steps=3)


def overflowing(limit):
    """`counter` whose weight is infinite after step `limit`, though the loss is not."""

    def step(state, batch, axis):
        state, metrics = counter().steps["count"](state, batch, axis)
        count = jnp.where(state.step + 1 >= limit, jnp.inf, state.params["net"]["count"])
        return state.replace(params={"net": {"count": count}}), metrics

    return dataclasses.replace(counter(), steps={"count": step})


def test_weights_that_are_not_finite_are_neither_scored_nor_saved(tmp_path):
    lower = r"params/net/count became NaN or infinite at step 5; the checkpoint before it is kept, lower the learning"
    evaluated = []
    with pytest.raises(UserError, match=lower):  # before the evaluation at the end
        train(tmp_path, evaluated.append, overflowing(5), steps=5, save_every=2)
    assert (evaluated, saved(tmp_path, "best"), saved(tmp_path, "latest")) == ([], [], [4, 2])
    assert os.listdir(tmp_path / "not_finite") == ["5-0.npz"]
    with pytest.raises(UserError, match=lower):  # before a save without one
        train(tmp_path, evaluated.append, overflowing(5), steps=9, save_every=5)
    assert (evaluated, saved(tmp_path, "latest")) == ([], [4, 2])
    assert train(tmp_path, steps=5)[0].step == 5  # what went wrong is mended: the run goes on from there


def test_a_checkpoint_that_is_not_finite_is_named(tmp_path):
    train(tmp_path, steps=2)
    state = checkpoints.restore(tmp_path / "checkpoints" / "latest", counter().init(jax.random.key(0)), warn=print)
    broken = state.state.replace(params={"net": {"count": jnp.float32(jnp.nan)}})
    checkpoints.save(tmp_path / "checkpoints" / "latest", dataclasses.replace(state, state=broken), 2).result()
    with pytest.raises(UserError, match=r"params/net/count of the checkpoint of step 2 in .*latest holds numbers"):
        train(tmp_path, steps=3)


def test_a_checkpoint_that_the_disk_refuses_ends_the_run_and_spares_the_one_before(tmp_path, capfd):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    latest = tmp_path / "checkpoints" / "latest"

    def fill():  # as soon as the thread has written the first one
        while not (latest / "00000002").exists():
            time.sleep(0.01)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))

    system = counter(actions={4: fill})
    large = lambda rng: system.init(rng).replace(ema={"noise": jax.random.normal(rng, (20_000,))})  # noqa: E731
    try:
        with pytest.raises(UserError, match=r"cannot write checkpoint .*0004 \(File too large\); free some space"):
            train(tmp_path, system=dataclasses.replace(system, init=large), steps=9, save_every=2)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(latest) == ["00000002"]
    assert "Traceback" not in capfd.readouterr().err


def test_history_is_not_duplicated_after_a_crash(tmp_path):
    with pytest.raises(ZeroDivisionError):
        train(tmp_path, actions={6: lambda: 1 // 0}, steps=8, log_every=1, save_every=4)
    assert [line["step"] for line in history(tmp_path)] == [1, 2, 3, 4, 5]
    train(tmp_path, steps=8, log_every=1, save_every=4)
    assert [line["step"] for line in history(tmp_path) if "train/count/loss" in line] == list(range(1, 9))


def test_another_experiment_may_not_use_the_folder(tmp_path):
    train(tmp_path, steps=2)
    config = toy_config()
    with config.unlocked():
        config.model.noise = 0.5
    with pytest.raises(UserError, match=r"was trained with model.noise=0.1 and this config says 0.5; use another"):
        loop.train(config, tmp_path, system=counter(), batches=Batches(config), evaluate=None)
    assert json.loads((tmp_path / "config.json").read_text())["model"]["noise"] == 0.1


def test_every_field_that_differs_is_named_though_config_json_is_gone(tmp_path):
    train(tmp_path, steps=2)
    (tmp_path / "config.json").unlink()
    config = toy_config(steps=9)
    with config.unlocked():
        config.model.noise, config.seed = 0.5, 3
    with pytest.raises(
        UserError, match=r"with model.noise=0.1 and .* says 0.5, with seed=0 and .* says 3; use another"
    ):
        loop.train(config, tmp_path, system=counter(), batches=Batches(config), evaluate=None)
    assert not (tmp_path / "config.json").exists()


def test_how_and_how_long_may_change(tmp_path):
    train(tmp_path, steps=2)
    config = toy_config(steps=4, log_every=3, save_every=3, max_minutes=9.0)
    with config.unlocked():
        config.parallel.mode, config.data.workers = "shard_map", 3
    screen = Console(file=io.StringIO(), width=200)
    result = loop.train(
        config, tmp_path, system=counter(), batches=Batches(config), evaluate=lambda v: {"score": 1}, console=screen
    )
    assert result.step == 4
    assert f"resuming at step 2 of 4 in {tmp_path}" in screen.file.getvalue().replace("\n", "")
    assert json.loads((tmp_path / "config.json").read_text())["parallel"]["mode"] == "shard_map"


def test_a_run_goes_on_though_its_config_is_older_than_a_field(tmp_path):
    train(tmp_path, steps=2)
    latest, like = tmp_path / "checkpoints" / "latest", counter().init(jax.random.key(0))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["data"]["blobs"]
    checkpoints.save(latest, dataclasses.replace(checkpoints.restore(latest, like, print), config=config), 2).result()
    assert train(tmp_path, steps=3)[0].step == 3
    config["data"]["balance"] = 0.5
    checkpoints.save(latest, dataclasses.replace(checkpoints.restore(latest, like, print), config=config), 2).result()
    with pytest.raises(UserError, match=r"was trained with data.balance=0.5 and this config says 0.0"):
        train(tmp_path, steps=4)


def test_a_head_start_is_taken_once(tmp_path):
    def pretrained(state):
        return state.replace(params={"net": {"count": state.params["net"]["count"] + 100}})

    system = dataclasses.replace(counter(), init_from=pretrained)
    result, _, _ = train(tmp_path, steps=2, system=system)
    assert int(result.state.params["net"]["count"]) == 102
    result, _, _ = train(tmp_path, steps=3, system=system)
    assert int(result.state.params["net"]["count"]) == 103


def test_an_experiment_without_a_checkpoint_does_not_claim_the_folder(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    train(tmp_path, steps=2, log_every=2)
    assert [line["step"] for line in history(tmp_path)] == [2, 2]


@pytest.mark.parametrize(("size", "choice"), [(7, "6 or 8"), (1, "2")])
def test_batch_sizes_that_do_not_fit(tmp_path, size, choice):
    config = toy_config()
    with config.unlocked():
        config.data.batch_size = size
    with pytest.raises(UserError, match=rf"batch_size={size} must be a multiple of the 2 devices; choose {choice}$"):
        loop.train(config, tmp_path, system=counter(), batches=Batches(config), evaluate=None)
    assert not list(tmp_path.iterdir())


def test_unwritable_workdir(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write into the folder .*file/run"):
        train(tmp_path / "file" / "run", steps=1)


def test_a_profile_is_written_for_the_step_that_asks(tmp_path):
    train(tmp_path, steps=3, profile_step=2)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def test_plain_output_is_a_line_per_log(tmp_path):
    screen = Console(file=io.StringIO(), width=200)
    train(tmp_path, steps=4, log_every=2, console=screen)
    output = screen.file.getvalue()
    assert output.count("compiling step 'count' for 4 px ...") == 1
    logs = [line for line in output.splitlines() if line.startswith("step ") and "count/loss" in line]
    assert [line.split()[1] for line in logs] == ["2", "4"]
    assert "  train/count/loss 1.5  " in logs[0]
    assert all(word in logs[0] for word in ("steps_per_second", "images_per_second", "data_wait", "eta_minutes"))
    assert "step 4  score 4.0000 (best 4.0000 at step 4)" in output


def test_live_output_shows_speed_losses_and_best(tmp_path):
    screen = Console(file=io.StringIO(), width=200, force_terminal=True)
    train(tmp_path, steps=4, log_every=1, eval_every=2, console=screen)
    output = screen.file.getvalue()
    assert all(
        word in output for word in ("4/4", "steps/s", "images/s", "data wait", "min left", "count/loss 4", "best 2")
    )


@pytest.mark.parametrize(("noticed", "told_at"), [((2, 3), 3), ((1, 3, 4, 5, 6), 4), ((1, 3, 5), None)])
def test_what_a_system_watches_out_for_is_told_once_if_it_stands_twice(tmp_path, noticed, told_at):
    def watch(means):
        return "something is wrong" if means["train/count/loss"] in noticed else ""

    out = io.StringIO()
    screen, system = Console(file=out, width=200), dataclasses.replace(counter(), watch=watch)
    train(tmp_path, system=system, console=screen, steps=6, log_every=1)
    told = [line for line in out.getvalue().splitlines() if "something is wrong" in line]
    assert told == ([f"step {told_at}: something is wrong"] if told_at else [])
