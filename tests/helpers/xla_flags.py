"""Flags of XLA for processes of tests, to be set before JAX looks at the environment."""

import os

import jaxlib


def set_up(devices: int) -> None:
    """Ask for virtual devices, and for programs that are compiled once and run once.

    Without LLVM's optimisations they are there three times as fast, and compute the same float32 (convolutions and
    products are library calls).
    """
    flags = f"--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=0"
    if jaxlib.version.__version_info__ < (0, 11):  # XLA refuses flags that it does not know, and these may go
        # Fusions as LLVM code without the detour through MLIR: again three times as fast.
        flags += " --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
        flags += " --xla_llvm_disable_expensive_passes=true"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}"
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
