"""Put runs of `l2s bench` into one Markdown table.

    python experiments/bench/table.py speed/*.json

What several runs have measured stands there once, as in the first of them.
"""

import argparse
import io
import re
from pathlib import Path

from rich import box
from rich.console import Console

from l2s_jax.bench import results
from l2s_jax.bench.results import Result
from l2s_jax.commands.bench import table


def joined(runs: list[Result]) -> Result:
    """Join runs on one device."""
    found = {}
    for run in runs:
        for one in run.measurements:
            found.setdefault(one.key, one)
    return runs[0]._replace(measurements=list(found.values()))


def markdown(result: Result) -> str:
    """Return the table that `l2s bench` prints as Markdown."""
    grid = table(result)
    grid.box, grid.pad_edge, grid.title = box.MARKDOWN, True, None
    page = io.StringIO()
    Console(file=page, width=400).print(grid)
    lines = [re.sub(" +", " ", line.strip()) for line in page.getvalue().splitlines()]
    return "\n".join(re.sub("-+", "---", line) if set(line) <= set("|-") else line for line in lines if line)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+", help="files of `l2s bench --json`")
    print(markdown(joined([results.load(path) for path in parser.parse_args().runs])))


if __name__ == "__main__":
    main()
