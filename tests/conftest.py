"""Policy of the suite: two virtual devices, loud ranks, exact float32."""

import os

os.environ["XLA_FLAGS"] = os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=2"
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax

jax.config.update("jax_numpy_rank_promotion", "raise")


def pytest_addoption(parser):
    parser.addoption(
        "--goldens", default=None, help="folder of golden pairs NAME.json + NAME.npz (default: tests/data/goldens)"
    )
