import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax.training import parallel
from l2s_jax.training.finite import first_not_finite


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_first_array_is_named(value):
    state = {"count": jnp.int32(3), "params": {"w": jnp.ones(3)}, "second": jnp.zeros((2, 2), jnp.bfloat16)}
    assert first_not_finite(state) is None
    broken = state | {"second": state["second"].at[1, 1].set(value), "third": jnp.full(2, value)}
    assert first_not_finite(broken) == "second"
    assert first_not_finite({"count": jnp.int32(3), "key": jax.random.key(0)}) is None


def test_the_parts_of_a_sharded_array_are_all_looked_at():
    array = np.ones((2**14, 2), np.float32)
    array[-1, -1] = np.nan
    state = parallel.put_state({"w": array}, parallel.make_mesh("jit", 2))
    assert not state["w"].sharding.is_fully_replicated
    assert first_not_finite(state) == "w"
