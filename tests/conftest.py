"""Policy of the suite: two virtual devices, loud ranks, exact float32."""

import os
import signal
from pathlib import Path

import jaxlib

# Programs here are compiled once and run once: without LLVM's optimisations they are there three times as fast, and
# compute the same float32 (convolutions and products are library calls).
flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
if jaxlib.version.__version_info__ < (0, 11):  # XLA refuses flags that it does not know, and these may go
    # Fusions as LLVM code without the detour through MLIR: again three times as fast.
    flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
    flags += " --xla_llvm_disable_expensive_passes=true"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

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


def pytest_xdist_auto_num_workers(config):
    """Two processes for folders of tests, none for single files or tests: starting them would take longer."""
    return 2 if any(Path(arg.partition("::")[0]).is_dir() for arg in config.args) else 0
