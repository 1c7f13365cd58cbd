"""Damaged and hostile input at every gate: does each piece end in an answer or in one sentence, soon, in little memory?

    python -m experiments.fuzz [--inputs 10000] [--seed 0] [--only GATE ...] [--out runs/fuzz]

Hypothesis makes the inputs: files damaged in a few places (bits, lengths, cuts, pieces moved), archives with strange
members, JSON with strange values in strange places, overrides and words of the command line, requests to the server of
the page. A gate may return, or raise a `UserError`, whose sentence the user sees. Everything else is a crash; more than
`SECONDS` for one input is a hang. A row has the inputs, those refused, crashes, hangs, the slowest input, and the most
memory that one took (Linux). Exit code 1 if anything crashed, hung or took more than `MEMORY`; such inputs are kept in
the folder. About ten minutes; interrupted, the same command goes on with the next gate.
"""

import argparse
import functools
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from experiments import campaign
from experiments.fuzz.gates import gates
from experiments.fuzz.measure import Gate, Outcome, measure

MEMORY = 1024
"""Most memory that one input may take, MiB."""
COLUMNS = ("gate", "inputs", "refused", "crashed", "hung", "slowest", "memory")


def row(gate: Gate, inputs: int, seed: int, failures: Path) -> tuple[bool, Sequence[str]]:
    """Give a gate its inputs; return whether it held, and the cells of its row."""
    outcome = measure(gate, max(1, round(gate.share * inputs)), seed)
    keep(outcome, failures)
    counts = [outcome.count.total(), *(outcome.count[verdict] for verdict in ("refused", "crashed", "hung"))]
    held = not outcome.failures and outcome.memory <= MEMORY
    return held, [*map(str, counts), f"{outcome.slowest:.2f} s", f"{outcome.memory:.0f} MiB"]


def keep(outcome: Outcome, folder: Path) -> None:
    """Write the inputs that failed, and each reason once to standard error."""
    for reason in {reason for _, reason in outcome.failures}:
        print(reason, file=sys.stderr)
    for number, (value, reason) in enumerate(outcome.failures):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.bin").write_bytes(value if isinstance(value, bytes) else repr(value).encode())
        (folder / f"{number}.txt").write_text(reason)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the campaign and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=10_000, help="of all gates together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", metavar="GATE", help="these gates alone")
    parser.add_argument("--out", type=Path, default=Path("runs/fuzz"), help="folder of the campaign (runs/fuzz)")
    args = parser.parse_args(argv)
    warnings.simplefilter("ignore")  # Pillow's on odd tags
    args.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        parts = {
            name: functools.partial(row, gate, args.inputs, args.seed, args.out / name.replace(" ", "_"))
            for name, gate in gates(Path(scratch)).items()
            if not args.only or name in args.only
        }
        settings = {"inputs": args.inputs, "seed": args.seed}
        return campaign.table(args.out / "rows.json", settings, COLUMNS, parts)


if __name__ == "__main__":
    sys.exit(main())
