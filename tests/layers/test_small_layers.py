import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.layers.prelu import PReLU
from l2s_jax.layers.unit_length import unit_length


def test_prelu_has_a_slope_for_each_channel():
    x = jnp.array([[-2.0, -2.0, 4.0], [2.0, 0.0, -4.0]])
    variables = PReLU().init(jax.random.key(0), x)
    np.testing.assert_array_equal(variables["params"]["slope"], [0.25] * 3)
    y = PReLU().apply({"params": {"slope": jnp.array([0.5, 2.0, -1.0])}}, x)
    np.testing.assert_array_equal(y, [[-1.0, -4.0, 4.0], [2.0, 0.0, 4.0]])


def test_unit_length():
    x = jnp.array([[3.0, 4.0], [0.0, 0.0], [1e-6, 0.0]])
    np.testing.assert_allclose(unit_length(x), [[0.6, 0.8], [0.0, 0.0], [1.0, 0.0]], rtol=1e-6)
    assert unit_length(x.astype(jnp.bfloat16)).dtype == jnp.float32
    assert np.isfinite(jax.grad(lambda x: unit_length(x).sum())(x)).all()
