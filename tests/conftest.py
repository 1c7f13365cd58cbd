"""Policy of the suite: two virtual devices, loud ranks, exact float32."""

import gc
import signal
from pathlib import Path

from tests.helpers import xla_flags

xla_flags.set_up(devices=2)

import jax

from tests.helpers import pairs

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_enable_compilation_cache", False)  # commands turn it on; tests neither fill nor use it
# Under nohup a hang-up is ignored, as a training started so must ignore it: here it counts all the same.
signal.signal(signal.SIGHUP, signal.SIG_DFL)


def pytest_addoption(parser):
    parser.addoption(
        "--goldens", default=None, help="folder of golden pairs NAME.json + NAME.npz (default: tests/data/goldens)"
    )


def pytest_configure(config):
    """Who names goldens wants them checked: a folder in which there is nothing to check is a mistake."""
    if folder := config.getoption("--goldens"):
        pairs.read(folder)


def pytest_collection_finish():
    """Modules and tests stay: the garbage collector need not walk through them whenever JAX traces a program."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_xdist_auto_num_workers(config):
    """Two processes for folders of tests, none for single files or tests: starting them would take longer."""
    return 2 if any(Path(arg.partition("::")[0]).is_dir() for arg in config.args) else 0
