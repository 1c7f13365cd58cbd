"""The cost of traced programs against numbers computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np

from l2s_jax import cost

A = jax.ShapeDtypeStruct((64, 128), jnp.float32)
B = jax.ShapeDtypeStruct((128, 32), jnp.float32)
CELL = 64 * 128 * 4  # bytes of A


def test_a_matrix_product():
    found = cost.estimate(lambda a, b: a @ b, A, B)
    assert found.flops == 2 * 64 * 128 * 32
    assert found.workspace == 64 * 32 * 4


def test_a_chain_frees_what_it_no_longer_needs():
    def chain(a, length):
        for _ in range(length):
            a = jnp.sin(a)
        return a

    for length in (3, 30):  # the input dies with the first use, so two values live at most
        assert cost.estimate(lambda a, n=length: chain(a, n), A).workspace == CELL


def test_gradients_keep_the_activations():
    def loss(a, depth):
        for _ in range(depth):
            a = jnp.sin(a)
        return a.sum()

    small, large = (cost.estimate(jax.grad(lambda a, d=depth: loss(a, d)), A).workspace for depth in (4, 12))
    assert large - small == 8 * CELL  # one residual for each further layer


def test_loop_bodies_and_calls_count():
    def body(carry, _):
        return jnp.sin(carry) @ jnp.ones((128, 128)), None

    looped = cost.estimate(lambda a: jax.lax.scan(body, a, None, length=5)[0], A)
    called = cost.estimate(lambda a: jax.jit(lambda x: jnp.sin(jnp.cos(x)) + x)(a), A)
    assert looped.workspace >= 2 * CELL
    assert called.workspace == 3 * CELL  # beside its input: the call's own worst moment and the result


def test_broadcasts_are_free():
    assert cost.estimate(lambda a: a + jnp.ones((64, 128)), A).workspace == CELL


def test_parameters_and_bytes():
    tree = {"a": A, "b": {"c": np.zeros((3,), np.int8), "d": jax.ShapeDtypeStruct((), jnp.bfloat16)}}
    assert cost.parameters(tree) == 64 * 128 + 3 + 1
    assert cost.size_bytes(tree) == CELL + 3 + 2


def test_the_estimate_is_an_upper_bound_near_what_xla_allocates():
    kernel = jax.ShapeDtypeStruct((4, 256, 256), jnp.float32)
    batch = jax.ShapeDtypeStruct((512, 256), jnp.float32)

    def step(kernel, batch):
        def loss(kernel):
            x = batch
            for w in kernel:
                x = jnp.tanh(x @ w)
            return (x**2).mean()

        return kernel - jax.grad(loss)(kernel)

    truth = jax.jit(step, donate_argnums=0).lower(kernel, batch).compile().memory_analysis().temp_size_in_bytes
    assert truth <= cost.estimate(step, kernel, batch).workspace <= 2 * truth
