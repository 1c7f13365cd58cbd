import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax.losses.landmarks import mean_square, wing
from l2s_jax.types import GLOBAL_VIEW

PSUM = GLOBAL_VIEW.psum
W, E = 10.0, 2.0


def one(distance):
    """A face of one point that is off by `distance` in x and right in y."""
    return jnp.array([[[distance, 0.0]]], jnp.float32), jnp.zeros((1, 1, 2)), jnp.ones(1), PSUM


def test_known_answers():
    near, far = W * np.log(1 + 4.0 / E), 30.0 - (W - W * np.log(1 + W / E))
    for distance, value in ((4.0, near), (-4.0, near), (30.0, far), (0.0, 0.0)):
        np.testing.assert_allclose(wing(*one(distance), width=W, curvature=E), value / 2, rtol=1e-6)
    np.testing.assert_allclose(mean_square(*one(-3.0)), 4.5, rtol=1e-6)


def test_wing_is_continuous_and_its_slopes_are_those_of_the_paper():
    value = jax.jit(jax.value_and_grad(lambda d: 2 * wing(*one(d), width=W, curvature=E)))
    (below, _), (above, _) = value(W - 1e-3), value(W + 1e-3)
    np.testing.assert_allclose(below, above, atol=1e-2)
    for distance, slope in ((1.0, W / (E + 1)), (8.0, W / (E + 8)), (20.0, 1.0), (-20.0, -1.0)):
        np.testing.assert_allclose(value(distance)[1], slope, rtol=1e-5)


def test_padding_takes_no_part_and_two_devices_agree(on_two_devices):
    rng = np.random.default_rng(0)
    found, true = (rng.normal(size=(4, 3, 2)).astype(np.float32) for _ in range(2))
    weight = np.array([1, 0, 1, 1], np.float32)
    real = weight > 0
    for loss in (mean_square, lambda *arrays: wing(*arrays, width=0.5, curvature=0.1)):

        def scaled(scale, found, true, weight, psum, loss=loss):
            return loss(scale * found, true, weight, psum)

        alone = jax.jit(jax.value_and_grad(scaled), static_argnums=4)
        expected = alone(1.5, found[real], true[real], np.ones(3, np.float32), PSUM)
        np.testing.assert_allclose(on_two_devices(scaled, jnp.float32(1.5), found, true, weight), expected, rtol=1e-5)
