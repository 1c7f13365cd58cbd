"""What ends two processes of one run, how soon, and with which words?

    python -m experiments.hosts [--only NAME ...] [--out runs/hosts]

Two processes of two virtual devices each (Gloo) train the tests' toy system in steps of 50 ms; something happens to
one of them or to both, before the first batch or at the 40th. A row has the exit codes, the seconds from what happened
to the end of each, and the last line of a process that it did not happen to. The last rows are tests: two processes
compute what one computes. Alone on two cores about four minutes; rows that held are kept (`campaign`).
"""

import argparse
import functools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from experiments import campaign
from input_pipeline.errors import UserError
from l2s_jax.training import checkpoints, hosts, loop
from l2s_jax.training.workdir import LATEST
from tests.helpers.toy_system import build, toy_config
from tests.helpers.two_hosts import ROOT, Ended, SlowBatches, joined_run, run_each

STEPS = 400
"""More than a run gets to."""
STOPPED_SECONDS = 20
"""Then a process that stands still is killed."""
SOON = hosts.HEARTBEAT_SECONDS + hosts.GRACE_SECONDS + 2
"""Most seconds from what happens to the end of all that were not killed, with two cores for both."""


class Event(NamedTuple):
    """Something that ends a run.

    Attributes:
      what: "seed", "code", "refusal", "mistake", "bug", or the name of a signal.
      victims: the processes that it happens to.
      codes: exit codes of both.
      lines: patterns of the last line of each; STEP stands for the step of the newest checkpoint.
    """

    what: str
    victims: Sequence[int]
    codes: tuple[int, int]
    lines: tuple[str, str]


SEED = "seed is 1 here and 0 in process 0; start all with the same command .*"
CODE = 'the code is "another" here and ".*" in process 0; start all with the same command and the same installation'
LACKS, REFUSES = "the folder is not here", "a field is wrong"
GONE = "l2s: process {} of 2 is gone; the same command resumes from step STEP"
ANY = ".*"
SAVED = ("stopped and saved at step STEP of 400.*", ANY)
KILLED, SAVES = -signal.SIGKILL, 128 + signal.SIGTERM


def _told(victim: int, here: str, there: str) -> tuple[str, str]:
    """Return the last lines of a victim and of the other process, in order."""
    told = f"l2s: process {victim} of 2 stopped: {there}"
    return (here, told) if victim == 0 else (told, here)


EVENTS = {
    "process 1 has another seed": Event("seed", [1], (2, 2), _told(1, f"l2s: {SEED}", SEED)),
    "process 1 has other code": Event("code", [1], (2, 2), _told(1, f"l2s: {CODE}", CODE)),
    "process 1 refuses its config": Event("refusal", [1], (2, 2), _told(1, f"l2s: {REFUSES}", REFUSES)),
    "process 0 lacks a folder": Event("mistake", [0], (2, 2), _told(0, f"l2s: {LACKS}", LACKS)),
    "process 1 lacks a folder": Event("mistake", [1], (2, 2), _told(1, f"l2s: {LACKS}", LACKS)),
    "process 0 has a bug": Event("bug", [0], (1, 2), _told(0, "ZeroDivisionError: a bug", "ZeroDivisionError a bug")),
    "kill -9 of process 0": Event("SIGKILL", [0], (KILLED, 2), (ANY, GONE.format(0))),
    "kill -9 of process 1": Event("SIGKILL", [1], (2, KILLED), (GONE.format(1), ANY)),
    "process 1 stands still": Event("SIGSTOP", [1], (2, KILLED), (GONE.format(1), ANY)),
    "SIGTERM to process 0": Event("SIGTERM", [0], (SAVES, SAVES), SAVED),
    "SIGTERM to process 1": Event("SIGTERM", [1], (SAVES, SAVES), SAVED),
    "SIGTERM to both": Event("SIGTERM", [0, 1], (SAVES, SAVES), SAVED),
    "Ctrl-C to process 1": Event("SIGINT", [1], (SAVES, SAVES), SAVED),
}
TESTS = {
    "train, stop, go on with one process: the numbers of one": "tests/training/test_several_hosts.py",
    "score: the scores of one": "tests/test_evaluation_on_devices.py",
}


def host(process: int, port: str, folder: str, name: str) -> int:
    """Be one of the two processes; return the exit code."""
    event, workdir = EVENTS[name], Path(folder) / "run"

    def strike(*kinds: str) -> bool:
        """Tell whether the event is of one of some kinds and happens to this process, and note the moment."""
        struck = process in event.victims and event.what in kinds
        if struck:
            (Path(folder) / "struck").touch()
        return struck

    def by_signal() -> None:
        if strike("SIGKILL", "SIGSTOP", "SIGTERM", "SIGINT"):
            if event.what == "SIGSTOP":
                subprocess.Popen(["sh", "-c", f"sleep {STOPPED_SECONDS}; kill -9 {os.getpid()}"])
            signal.raise_signal(signal.Signals[event.what])

    def run() -> int:
        config = toy_config(steps=STEPS, save_every=5).unlock()
        if strike("refusal"):
            raise UserError(REFUSES)
        config.seed = int(strike("seed"))
        if strike("code"):
            hosts.code = lambda: "another"
        hosts.agree(config)
        if strike("mistake"):
            raise UserError(LACKS)
        if strike("bug"):
            raise ZeroDivisionError("a bug")
        batches = SlowBatches(config, process, 2, by_signal)
        scores = {"evaluate": lambda variables: {"score": 0.0}}
        return 128 + loop.train(config, workdir, system=build(config), batches=batches, **scores).interrupted

    return joined_run(process, port, workdir, run)


def happen(name: str, folder: Path) -> list[Ended]:
    """Let an event happen in an empty folder; return how each process ended."""
    return run_each("experiments.hosts", folder, name)


def faults(name: str, folder: Path, both: Sequence[Ended]) -> list[str]:
    """Return what was not as it should be when an event had happened in a folder, a sentence each."""
    event, latest, broken = EVENTS[name], folder / "run" / LATEST, []
    saved = checkpoints.checkpoints(latest)
    step = str(int(saved[0].name)) if saved else "nowhere"
    for number, (ended, code, line) in enumerate(zip(both, event.codes, event.lines, strict=True)):
        if ended.code != code:
            broken.append(f"process {number} ends with {ended.code}, not {code}")
        if not re.fullmatch(line.replace("STEP", step), last_line(ended)):
            broken.append(f"process {number} ends with '{last_line(ended)}'")
        if ended.output.count("l2s: ") > 1:
            broken.append(f"process {number} says more than one sentence")
    if saved and checkpoints.newest(latest, lambda sentence: None) != saved[0]:
        broken.append("the newest checkpoint is damaged")
    return broken


def last_line(ended: Ended) -> str:
    """Return the last line that a process printed."""
    return ended.output.strip().rpartition("\n")[2]


def event_row(name: str, folder: Path) -> tuple[bool, list[str]]:
    """Let an event happen; return whether all was as it should be, and the cells of its row."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    both = happen(name, folder)
    broken = faults(name, folder, both)
    event, struck = EVENTS[name], (folder / "struck").stat().st_mtime
    seconds = [ended.at - struck for ended in both]
    late = [each for ended, each in zip(both, seconds, strict=True) if ended.code != KILLED and each > SOON]
    saying = [number for number in sorted((0, 1), key=event.victims.count) if event.lines[number] != ANY]
    told = "; ".join(broken) or last_line(both[saying[0]])
    ends = [f"{ended.code} after {each:.1f} s" for ended, each in zip(both, seconds, strict=True)]
    return not broken and not late, ["BROKEN" if broken else "late" if late else "held", ", ".join(ends), told]


def tests_row(path: str) -> tuple[bool, list[str]]:
    """Run the tests of a file; return whether they passed, and the cells of their row."""
    started, words = time.monotonic(), [sys.executable, "-m", "pytest", "-n0", "-q", "-m", "slow or not slow", path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    passed = done.returncode == 0
    told = f'`pytest -m "slow or not slow" {path}`: {re.sub(" in .*", "", done.stdout.strip().splitlines()[-1])}'
    return passed, ["held" if passed else "BROKEN", f"{time.monotonic() - started:.0f} s", told]


def main(argv: Sequence[str] | None = None) -> int:
    """Let all events happen and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[*EVENTS, *TESTS])
    parser.add_argument("--out", type=Path, default=Path("runs/hosts"), help="folder of the campaign (runs/hosts)")
    args = parser.parse_args(argv)
    folder = args.out.absolute()
    parts = {name: functools.partial(event_row, name, folder / "event") for name in EVENTS}
    parts |= {name: functools.partial(tests_row, path) for name, path in TESTS.items()}
    asked = {name: part for name, part in parts.items() if not args.only or name in args.only}
    folder.mkdir(parents=True, exist_ok=True)
    columns = ("what happens", "", "process 0, process 1", "last line")
    return campaign.table(folder / "rows.json", {}, columns, asked)


if __name__ == "__main__":
    sys.exit(main())
