"""Processes that are stopped: by a signal, by another training in the workdir, by the loss of a worker."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from experiments.faults.place import Place
from experiments.faults.training import EVERY, check, ended, until


def terminated(place: Place) -> str:
    """SIGTERM: the batch is finished, a checkpoint is saved, the exit code says so."""
    run = place.disturbed()
    process = run.start()
    until(process, "compiling")
    time.sleep(random.Random(place.seed).uniform(0, 1))
    process.terminate()
    out, _ = ended(process, 128 + signal.SIGTERM)
    step = run.newest()
    check(f"stopped and saved at step {step} " in out, out[-300:])
    run.finish(steps=step - step % EVERY + EVERY)
    return f"exit code 143, saved at batch {step}; {place.compare(run)}"


def worker_killed(place: Place) -> str:
    """A process that prepares batches is killed; then the training goes on without such processes."""

    def harm(process: subprocess.Popen) -> None:
        tasks = Path(f"/proc/{process.pid}/task").glob("*/children")
        children = [pid for task in tasks for pid in task.read_text().split()]
        workers = [pid for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        for pid in workers:
            os.kill(int(pid), signal.SIGKILL)

    run = place.disturbed()
    run.harmed(harm, "worker process that prepares batches was killed", "--config.data.workers=1")
    run.finish(steps=run.newest() + EVERY)
    return f"one sentence; {place.compare(run)}"


def two_trainings(place: Place) -> str:
    """A second training in the same workdir; then the first is killed, and its lock with it."""
    run = place.disturbed()
    first = run.start()
    until(first, "compiling")
    _, sentence = ended(run.start(), 2)
    check(f"process {first.pid} on " in sentence and " works in " in sentence, sentence)
    first.kill()
    first.communicate()
    run.finish(steps=run.newest() // EVERY * EVERY + EVERY)
    return f"the second is refused; {place.compare(run)}"
