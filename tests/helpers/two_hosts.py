"""Two processes of two virtual devices each, as two hosts would be."""

import concurrent.futures
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from input_pipeline.errors import UserError
from l2s_jax.training import hosts
from tests.helpers.toy_system import Batches

ROOT = Path(__file__).parents[2]
HOST = """
import importlib, sys
sys.path.insert(0, sys.argv[1])
sys.exit(importlib.import_module(sys.argv[2]).host(int(sys.argv[3]), sys.argv[4], *sys.argv[5:]))
"""


class Ended(NamedTuple):
    """How a process has ended: exit code, what it printed, and when (`time.time()`)."""

    code: int
    output: str
    at: float


def run_both(module, *words):
    """Run `host(process, port, *words)` of a module in both; return their exit codes and outputs."""
    first, second = run_each(module, *words)
    return [first.code, second.code], [first.output, second.output]


def run_each(module, *words) -> list[Ended]:
    """Run `host(process, port, *words)` of a module in both processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", HOST, str(ROOT), module]
    both = [
        subprocess.Popen(
            [*command, str(process), str(port), *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for process in range(2)
    ]

    def ended(process: subprocess.Popen) -> Ended:
        output, _ = process.communicate(timeout=240)
        return Ended(process.returncode, output, time.time())

    try:
        with concurrent.futures.ThreadPoolExecutor() as threads:
            return list(threads.map(ended, both))
    finally:
        for each in both:
            each.kill()


def joined_run(process, port, workdir, run):
    """Return the exit code of `run()`, as `l2s train --coordinator` gives it."""
    try:
        with hosts.joined(Path(workdir), f"127.0.0.1:{port}", 2, process):
            return run()
    except UserError as error:
        print(f"l2s: {error}", file=sys.stderr)
        return 2


class SlowBatches(Batches):
    """Batches that take their time, so that a run is longer than it takes to stop it; with the 40th comes `strike`."""

    def __init__(self, config, process=0, processes=1, strike=lambda: None):
        super().__init__(config, process, processes)
        self._strike = strike

    def __next__(self):
        time.sleep(0.05)
        if self._next == 40:
            self._strike()
        return super().__next__()
