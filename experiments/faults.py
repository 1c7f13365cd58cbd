"""What survives what? Faults are done to real trainings (`l2s train`), one row of a table for each.

    python experiments/faults.py [--kills 10] [--seed 0] [--only NAME ...]

A small U-Net learns from 24 faces of a folder, 20 px, and saves a checkpoint every four batches. One run is left in
peace. Every other one is disturbed, started again with the same command, and must end with the bits of the first one:
all arrays of the state, the position in the data, every loss in metrics.jsonl. `--seed` draws the moments and the
weights, so that several short campaigns add up to a long one.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import orbax.checkpoint as ocp
from PIL import Image

from input_pipeline.datasets import open_source
from l2s_jax.training import checkpoints
from l2s_jax.training.checkpoints import tree_digest
from l2s_jax.training.workdir import LATEST, METRICS

EVERY = 4
"""Batches between checkpoints."""
PER_KILL = 10
"""Batches of the whole run for each kill: about as many are kept between two of them."""


class Broken(Exception):
    """A promise that was not kept."""


def check(kept: object, otherwise: str) -> None:
    """Raise `Broken` with a sentence unless something holds."""
    if not kept:
        raise Broken(otherwise)


@dataclasses.dataclass
class Place:
    """The folder of a campaign: its faces, its runs, and the undisturbed one.

    Attributes:
      root: a folder.
      kills: how often the row of the kills kills.
      seed: of the moments and of the training.
    """

    root: Path
    kills: int
    seed: int

    def __post_init__(self):
        self.faces, self.draw = self.root / "faces", random.Random(self.seed)
        self.steps = max(PER_KILL * self.kills, 6 * EVERY)

    def prepare(self) -> None:
        """Draw the faces, and train once in peace."""
        write_faces(self.faces)
        self.run("undisturbed").finish(self.steps, "--config.train.keep=1000")

    def run(self, name: str, *options: str) -> "Run":
        """Return a training that has not been started, in a workdir of its own."""
        return Run(
            self.root / name, [f"--config.data.train=folder:{self.faces}", f"--config.seed={self.seed}", *options]
        )

    def compare(self, run: "Run") -> str:
        """Check that the newest checkpoint of a run, and its history, are those of the undisturbed run."""
        step = run.newest()
        mine, wanted = (fingerprint(each.latest / f"{step:08d}") for each in (run, self.run("undisturbed")))
        check(mine == wanted, f"the state at batch {step} differs from that of the undisturbed run")
        theirs = self.run("undisturbed").losses()
        check(run.losses() == {n: theirs[n] for n in theirs if n <= step}, "losses differ from the undisturbed run's")
        return f"same bits at batch {step}"


class Run:
    """One workdir, and the command that trains there."""

    begun: ClassVar[list[subprocess.Popen]] = []
    """The trainings of all runs, to end those that a broken promise leaves behind."""

    def __init__(self, workdir: Path, options: Sequence[str]):
        self.workdir, self.latest = workdir, workdir / LATEST
        self._options = options

    def start(self, steps: int, *options: str, program: Sequence[str] = ("-m", "l2s_jax"), **popen) -> subprocess.Popen:
        """Begin to train up to a batch, or go on."""
        small = [
            "data.eval=synthetic:4?val",
            "data.test=synthetic:4?test",
            "image_size=20",
            "model.width=2",
            "stage=labels",
            "data.batch_size=12",
            "data.blobs=8",
            "data.threads=1",
        ]
        often = ["train.log_every=1", "train.eval_every=0", f"train.save_every={EVERY}", f"train.steps={steps}"]
        fields = [f"--config.{field}" for field in [*small, *often]]
        command = ["train", "--config", "svc_synthetic", "--workdir", str(self.workdir), *fields]
        words = [sys.executable, "-u", *program, *command, *self._options, *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        self.begun.append(subprocess.Popen(words, **pipes, **popen))
        return self.begun[-1]

    def finish(self, steps: int, *options: str) -> str:
        """Train up to a batch, or go on; return what was printed."""
        return ended(self.start(steps, *options), 0)[0]

    def newest(self) -> int:
        """Return the step of the newest checkpoint, which must not be damaged."""
        found = checkpoints.checkpoints(self.latest)
        check(
            found and checkpoints.newest(self.latest, lambda sentence: None) == found[0],
            "a finished checkpoint is lost",
        )
        return int(found[0].name)

    def writes(self, since: float) -> bool:
        """Tell whether a checkpoint is half-written that was begun after a time (`time.time()`)."""
        with contextlib.suppress(FileNotFoundError):  # finished in between
            return any(folder.stat().st_mtime > since for folder in self.latest.glob(".*.tmp"))
        return False

    def losses(self) -> dict[int, dict[str, float]]:
        """Return {batch: {name: value}} of what metrics.jsonl says of the training, but for its speed."""
        losses = {}
        for row in map(json.loads, (self.workdir / METRICS).read_text().splitlines()):
            losses.setdefault(row["step"], {}).update({name: row[name] for name in row if name.startswith("train/")})
        return losses


def write_faces(folder: Path) -> None:
    """Write 24 synthetic faces as a folder of images and masks."""
    source = open_source("synthetic:24", size=24)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for number in range(len(source)):
        face = source[number]
        Image.fromarray(face["image"]).save(folder / "images" / f"{number}.png")
        Image.fromarray(face["mask"]).save(folder / "masks" / f"{number}.png")
    (folder / "labels.json").write_text(json.dumps({"label_set": source.label_set.name}))


def fingerprint(checkpoint: Path) -> tuple:
    """Return the digest of the arrays of a checkpoint, and its position in the data."""
    with ocp.StandardCheckpointer() as reader:
        state = reader.restore(checkpoint / "state")
    bits = jax.tree.map(
        lambda leaf: jax.random.key_data(leaf) if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) else leaf,
        state,
    )
    return tree_digest(bits), json.loads((checkpoint / checkpoints.META).read_text())["loader"]


def until(process: subprocess.Popen, words: str) -> None:
    """Read what a training prints up to a line with some words."""
    read = ""
    for line in process.stdout:
        read += line
        if words in line:
            return
    raise Broken(f"ended without '{words}': {read[-300:]} {process.stderr.read()[-300:]}")


def ended(process: subprocess.Popen, code: int) -> tuple[str, str]:
    """Wait for the end; return standard output and, if it is a mistake of the user (2), the sentence that says so."""
    out, err = process.communicate(timeout=300)
    check(process.returncode == code, f"exit code {process.returncode} and not {code}: {err[-300:]}")
    sentences = [line for line in err.splitlines() if line.startswith("l2s: ")]
    if code == 2:
        check(len(sentences) == 1 and "Traceback" not in err, f"more than a sentence: {err[-500:]}")
    return out, "".join(sentences)


def kills(place: Place) -> str:
    """Kill -9 at random moments: while it starts, while it trains, while a checkpoint is being written."""
    run, done, writing, starting = place.run("killed"), 0, 0, 0
    before, runs = 0, 1
    while done < place.kills:
        process, started = run.start(place.steps), time.time()
        kind = ("save", "any", "save", "any", "start")[done % 5]
        if kind == "start":
            time.sleep(place.draw.uniform(0, 5))
        else:
            until(process, f"resuming at step {before} " if before else "compiling")
        if kind == "any":
            until(process, "loss ")
        if kind == "save":
            while process.poll() is None and not run.writes(started):
                pass
            time.sleep(place.draw.uniform(0, 0.03))
        elif kind == "any":
            time.sleep(place.draw.uniform(0, 2))
        seen = checkpoints.checkpoints(run.latest)
        process.kill()
        process.communicate()
        done += process.returncode == -signal.SIGKILL
        starting += kind == "start"
        writing += run.writes(started)
        before = run.newest() if checkpoints.checkpoints(run.latest) else 0
        check(before >= max((int(path.name) for path in seen), default=0), "a finished checkpoint is lost")
        if before == place.steps:  # this run is done before all kills are
            place.compare(run)
            shutil.rmtree(run.workdir)
            before, runs = 0, runs + 1
    run.finish(place.steps)
    return (
        f"{done} kills, {writing} with a checkpoint half-written, {starting} at the start, {runs} runs: no finished "
        f"checkpoint lost, {place.compare(run)}"
    )


def terminated(place: Place) -> str:
    """SIGTERM: the batch is finished, a checkpoint is saved, the exit code says so."""
    run = place.run("terminated")
    process = run.start(place.steps)
    until(process, "compiling")
    time.sleep(place.draw.uniform(0, 1))
    process.terminate()
    out, _ = ended(process, 128 + signal.SIGTERM)
    step = run.newest()
    check(f"stopped and saved at step {step} " in out, out[-300:])
    run.finish(step - step % EVERY + EVERY)
    return f"exit code 143, saved at batch {step}; {place.compare(run)}"


def full_disk(place: Place) -> str:
    """Files cannot grow beyond 20 kB, as on a full disk: the checkpoint fails while it is written."""
    run = place.run("full")
    run.finish(EVERY)
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    _, sentence = ended(run.start(3 * EVERY, preexec_fn=limit), 2)
    check("cannot write checkpoint" in sentence, sentence)
    check([path.name for path in run.latest.iterdir()] == [f"{EVERY:08d}"], "something half-written is left")
    run.finish(3 * EVERY)
    return f"one sentence, nothing half-written; {place.compare(run)}"


POISON = """
import dataclasses, sys
import jax.numpy as jnp
from l2s_jax import cli, systems

build = systems.build

def poisoned(config):
    system = build(config)
    def step(state, batch, *rest, **frozen):
        image = jnp.where(state.step == 10, jnp.nan, batch["image"])
        return system.steps["labels"](state, batch | {"image": image}, *rest, **frozen)
    return dataclasses.replace(system, steps={"labels": step})

systems.build = poisoned
sys.exit(cli.main())
"""


def not_finite(place: Place) -> str:
    """The images of batch 11 are NaN within the step: stopped, the batch saved, no such state in a checkpoint."""
    run = place.run("not_finite")
    _, sentence = ended(run.start(place.steps, program=("-c", POISON)), 2)
    found = re.search(r"became nan at step 11; .*its batch is in (\S+)", sentence)
    check(found, sentence)
    with np.load(found[1], allow_pickle=False) as batch:
        check(len(batch["image"]) == 12, "the batch is not whole")
    check(run.newest() == 2 * EVERY, "the checkpoint before it is not the newest")
    run.finish(3 * EVERY)
    return f"stopped, the batch is saved; mended, {place.compare(run)}"


def interrupted(place: Place, run: Run, harm: Callable[[subprocess.Popen], None], words: str) -> str:
    """Do harm once a checkpoint is there; the run must end in a sentence with some words."""
    process = run.start(place.steps)
    while process.poll() is None and not checkpoints.checkpoints(run.latest):
        time.sleep(0.01)
    harm(process)
    _, sentence = ended(process, 2)
    check(words in sentence, sentence)
    return sentence


def vanished(place: Place) -> str:
    """A photo of the training data is deleted while the training runs, and comes back."""
    run, photo, away = place.run("vanished"), place.faces / "images" / "7.png", place.root / "7.png"
    try:
        interrupted(place, run, lambda process: photo.rename(away), str(photo))
    finally:
        away.rename(photo)
    run.finish(run.newest() + EVERY)
    return f"the file is named; {place.compare(run)}"


def worker_killed(place: Place) -> str:
    """A process that prepares batches is killed; then the run goes on without such processes."""

    def harm(process: subprocess.Popen) -> None:
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [pid for task in tasks for pid in task.read_text().split()]
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in workers:
            os.kill(int(pid), signal.SIGKILL)

    with_worker = place.run("worker", "--config.data.workers=1")
    interrupted(place, with_worker, harm, "worker process that prepares batches was killed")
    run = place.run("worker")
    run.finish(run.newest() + EVERY)
    return f"one sentence; {place.compare(run)}"


def two_runs(place: Place) -> str:
    """A second training in the same workdir; then the first is killed, and its lock with it."""
    run = place.run("twice")
    first = run.start(place.steps)
    until(first, "compiling")
    _, sentence = ended(run.start(place.steps), 2)
    check(f"process {first.pid} on " in sentence and " works in " in sentence, sentence)
    first.kill()
    first.communicate()
    run.finish(EVERY * (1 + (run.newest() // EVERY if checkpoints.checkpoints(run.latest) else 0)))
    return f"the second is refused; {place.compare(run)}"


def damaged(place: Place) -> str:
    """The newest checkpoint is cut short, then one bit of another is turned over."""
    run = place.run("damaged")
    run.finish(2 * EVERY)
    for harm in (lambda content: content[:100], lambda content: bytes([content[0] ^ 1]) + content[1:]):
        newest = checkpoints.checkpoints(run.latest)[0]
        file = max(newest.rglob("d/*"), key=lambda path: path.stat().st_size)
        file.write_bytes(harm(file.read_bytes()))
        step = int(newest.name)
        out = run.finish(step + EVERY).replace("\n", " ")
        check(f"{newest.name} is damaged" in out and f"resuming at step {step - EVERY} " in out, out[:500])
    return f"said so, twice, and the one before was used; {place.compare(run)}"


def stream(place: Place) -> str:
    """The stream of batches is read by 4 processes, by 1, by 3, killed in between."""
    command = [sys.executable, Path(__file__).with_name("elastic.py"), "--seed", str(place.seed)]
    done = subprocess.run(command, capture_output=True, text=True)
    check(done.returncode == 0, done.stdout + done.stderr[-500:])
    return done.stdout.strip()


ROWS = {
    "kill -9": kills,
    "SIGTERM": terminated,
    "full disk": full_disk,
    "NaN": not_finite,
    "data vanish": vanished,
    "worker killed": worker_killed,
    "two runs": two_runs,
    "checkpoint damaged": damaged,
    "4, 1, 3 processes": stream,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign, print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS), metavar="NAME", help=", ".join(ROWS))
    args = parser.parse_args(argv)
    broken = 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        place = Place(Path(scratch), args.kills, args.seed)
        if args.only != ["4, 1, 3 processes"]:
            place.prepare()
        for name in args.only:
            started = time.monotonic()
            try:
                verdict, seen = "held", ROWS[name](place)
            except Broken as promise:
                verdict, seen = "BROKEN", str(promise)
            for process in Run.begun:
                process.kill()
            broken += verdict == "BROKEN"
            print(f"{name:<20}{verdict:<8}{seen} ({time.monotonic() - started:.0f} s)", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
