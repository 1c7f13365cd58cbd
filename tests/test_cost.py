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


def products(function, *inputs):
    return cost.product_flops(jax.jit(function).trace(*inputs).jaxpr.jaxpr)


PRODUCT = 2 * 64 * 128 * 128  # of A with a square matrix
SQUARE = jax.ShapeDtypeStruct((128, 128), jnp.float32)


def test_products_are_counted_wherever_they_are():
    def body(a, _, square):
        return a @ square, None

    def looped(a, square):
        return jax.lax.scan(lambda a, _: body(a, _, square), a, length=5)[0]

    def branched(a, square):
        return jax.lax.cond(a[0, 0] > 0, lambda: a @ square, lambda: a @ square @ square)

    assert products(lambda a, square: jnp.sin(a) @ square + a, A, SQUARE) == PRODUCT
    assert products(looped, A, SQUARE) == 5 * PRODUCT
    assert products(branched, A, SQUARE) == 2 * PRODUCT
    assert products(jax.grad(lambda a, square: (a @ square).sum(), (0, 1)), A, SQUARE) == 3 * PRODUCT
    assert products(lambda a: jnp.einsum("bij,bkj->bik", a, a), jax.ShapeDtypeStruct((2, 3, 5), jnp.float32)) == 180


def test_equations_are_found_once_wherever_they_are():
    def looped(a, square):
        return jax.lax.scan(lambda a, _: (jax.jit(jnp.sin)(a @ square), None), a, length=5)[0] + 1

    names = [eqn.primitive.name for eqn in cost.equations(jax.jit(looped).trace(A, SQUARE).jaxpr.jaxpr)]
    assert [names.count(name) for name in ("scan", "dot_general", "sin", "add")] == [1, 1, 1, 1]


def test_the_traffic_of_products():
    row = jax.ShapeDtypeStruct((128, 128), jnp.bfloat16)

    def looped(a, row):
        a, _ = jax.lax.scan(lambda a, _: (a @ row, None), a.astype(jnp.bfloat16), length=5)
        return a

    traced = jax.jit(looped).trace(A, row)
    assert cost.products(traced.jaxpr.jaxpr) == [cost.Product(5 * PRODUCT, 5 * 2 * (64 * 128 + 128 * 128 + 64 * 128))]


def test_convolutions_count_each_tap_and_no_zero_between_pixels():
    def conv(x, kernel, groups=1, **options):
        numbers = ("NHWC", "HWIO", "NHWC")
        strides = options.pop("strides", (1, 1))
        options = {"padding": "SAME", "dimension_numbers": numbers, "feature_group_count": groups} | options
        return jax.lax.conv_general_dilated(x, kernel, strides, **options)

    x = jax.ShapeDtypeStruct((2, 8, 8, 6), jnp.float32)
    kernel, depthwise = (jax.ShapeDtypeStruct((3, 3, inputs, 6), jnp.float32) for inputs in (6, 1))
    whole = 2 * (2 * 8 * 8 * 6) * 9 * 6
    assert products(conv, x, kernel) == whole
    assert products(lambda x, k: conv(x, k, groups=6), x, depthwise) == whole / 6
    halved = lambda x, k: conv(x, k, strides=(2, 2))  # noqa: E731
    assert products(halved, x, kernel) == whole / 4
    # The gradients of x and of the kernel take as much as the convolution, except for what is beyond the border.
    backward = products(jax.grad(lambda x, k: halved(x, k).sum(), (0, 1)), x, kernel)
    assert backward == 3 * whole / 4


def test_bytes():
    tree = {"a": A, "b": {"c": np.zeros((3,), np.int8), "d": jax.ShapeDtypeStruct((), jnp.bfloat16)}}
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
