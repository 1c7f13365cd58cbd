"""What survives what? Faults are done to real trainings (`l2s train`), one row of a table for each.

    python -m experiments.faults [--kills 50] [--seed 0] [--only NAME ...] [--out runs/faults]

A small U-Net learns from 24 faces of a folder, 20 px, and saves a checkpoint every four batches. One training is left
in peace. Every other one is disturbed, started again with the same command, and must end with the bits of the first
one: all arrays of the state, the position in the data, every loss in metrics.jsonl. Half of the killed ones are killed
while a checkpoint is being written. At last the stream of batches is read by 4 processes, 1 and 3 (`elastic`). About
twenty minutes; interrupted, the same command goes on with the row it was at.
"""

import argparse
import functools
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from experiments import campaign, elastic
from experiments.faults import FAULTS
from experiments.faults.kills import kills
from experiments.faults.place import Place
from experiments.faults.training import Broken, Training, check

PEACE, STREAM = "left in peace", "4 processes, 1, 3"
IN_ONE = 10
"""Kills of one training, which has about ten batches for each."""


def stream(place: Place) -> str:
    """Read the stream of batches with 4 processes, with 1 and with 3, killed in between."""
    told, failed = elastic.campaign(place.scratch, 60, place.seed)
    check(not failed, told)
    return told


def attempt(place: Place, fault: Callable[[Place], str]) -> tuple[bool, Sequence[str]]:
    """Do a fault in a clean place; return whether the promise was kept, and the cells of its row."""
    started = time.monotonic()
    place.clear()
    try:
        held, seen = True, fault(place)
    except Broken as promise:
        held, seen = False, str(promise)
    finally:
        for process in Training.begun:
            process.kill()
    return held, ["held" if held else "BROKEN", seen, f"{time.monotonic() - started:.0f} s"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign, print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"kill -9, {', '.join(FAULTS)}, {STREAM}")
    parser.add_argument("--out", type=Path, default=Path("runs/faults"), help="folder of the campaign (runs/faults)")
    args = parser.parse_args(argv)
    place = Place(args.out.absolute(), 10 * IN_ONE, args.seed)
    place.root.mkdir(parents=True, exist_ok=True)
    killed = {
        f"kill -9, {first + 1} to {min(first + IN_ONE, args.kills)}": functools.partial(
            kills, first=first, count=min(IN_ONE, args.kills - first)
        )
        for first in range(0, args.kills, IN_ONE)
    }
    faults = {PEACE: Place.train_in_peace, **killed, **FAULTS, STREAM: stream}
    parts = {
        name: functools.partial(attempt, place, fault)
        for name, fault in faults.items()
        if name == PEACE or not args.only or name in args.only or name.partition(",")[0] in args.only
    }
    file, columns = place.root / "rows.json", ("fault", "", "seen", "time")
    return campaign.table(file, {"seed": args.seed, "kills": args.kills}, columns, parts)


if __name__ == "__main__":
    sys.exit(main())
