"""A hand-made axis over the two virtual devices, as the system contract defines it."""

import jax
import pytest
from jax.sharding import PartitionSpec


def _psum(tree):
    return jax.lax.psum(tree, "devices")


@pytest.fixture(scope="session")
def on_two_devices():
    """(loss(x, *rows, psum), x, *rows) -> (loss, gradient in x) with the rows of all arrays on two devices."""
    mesh = jax.make_mesh((2,), ("devices",), axis_types=(jax.sharding.AxisType.Auto,))

    def run(loss, scale, *arrays):
        def shard(scale, *rows):
            value, gradient = jax.value_and_grad(lambda s: loss(s, *rows, _psum))(scale)
            return value, jax.lax.pmean(gradient, "devices")

        rows = PartitionSpec("devices")
        specs = (PartitionSpec(), *(rows for _ in arrays))
        split = jax.shard_map(shard, mesh=mesh, in_specs=specs, out_specs=PartitionSpec(), check_vma=False)
        return jax.jit(split)(scale, *arrays)

    return run
