"""Kill -9 at random moments: while a training starts, while it trains, while a checkpoint is being written."""

import random
import shutil
import signal
import time

from experiments.faults.place import Place
from experiments.faults.training import check, until
from l2s_jax.training import checkpoints

MOMENTS = ("save", "any", "save", "any", "start")
"""Of the kills, in turn."""


def kills(place: Place, first: int, count: int) -> str:
    """Kill a training `count` times, then train to the end; the moments depend on the seed and on `first`."""
    draw = random.Random(f"{place.seed} {first}")
    run, done, writing, starting, before = place.disturbed(), 0, 0, 0, 0
    while done < count:
        moment = MOMENTS[done % len(MOMENTS)]
        process, started = run.start(), time.time()
        if moment == "start":
            time.sleep(draw.uniform(0, 5))
        else:
            until(process, f"resuming at step {before} " if before else "compiling")
        if moment == "any":
            until(process, "loss ")
            time.sleep(draw.uniform(0, 2))
        elif moment == "save":
            while process.poll() is None and not run.writes(started):
                pass
            time.sleep(draw.uniform(0, 0.03))
        seen = checkpoints.checkpoints(run.latest)
        process.kill()
        process.communicate()
        done += process.returncode == -signal.SIGKILL
        starting += moment == "start"
        writing += run.writes(started)
        before = run.newest()
        check(before >= max((int(path.name) for path in seen), default=0), "a finished checkpoint is lost")
        if before == place.steps:  # done before all kills are
            place.compare(run)
            shutil.rmtree(run.workdir)
            before = 0
    run.finish()
    return (
        f"{done} kills, {writing} with a checkpoint half-written, {starting} at the start: no finished checkpoint "
        f"lost, {place.compare(run)}"
    )
