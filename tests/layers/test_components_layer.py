import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import measure

from l2s_jax.layers.components import components

SIZE = 48
CLASSES = 4
label = jax.jit(components, static_argnames="connectivity")


def spiral(size):
    """One class wound through another, two pixels apart: the longest way through a component."""
    image = np.zeros((size, size), np.int32)
    y, x, (dy, dx) = 0, 0, (0, 1)
    image[y, x] = 1

    def free(y, x):
        return 0 <= y < size and 0 <= x < size and not image[y, x]

    while True:
        ahead = free(y + dy, x + dx) and (free(y + 2 * dy, x + 2 * dx) or not 0 <= y + 2 * dy < size > x + 2 * dx >= 0)
        if not ahead:
            dy, dx = dx, -dy
            if not (free(y + dy, x + dx) and free(y + 2 * dy, x + 2 * dx)):
                return image
        y, x = y + dy, x + dx
        image[y, x] = 1


def face(size):
    """Ellipses over each other: hair, skin, two eyes, a mouth."""
    y, x = (np.mgrid[:size, :size] + 0.5) / size
    image = np.zeros((size, size), np.int32)
    for k, (cy, cx, ry, rx) in enumerate(
        [(0.45, 0.5, 0.42, 0.36), (0.55, 0.5, 0.36, 0.26), (0.45, 0.4, 0.03, 0.06), (0.45, 0.6, 0.03, 0.06)], 1
    ):
        image[((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1] = min(k, 3)
    return image


def maps():
    rng = np.random.default_rng(0)
    noisy = np.where(rng.random((SIZE, SIZE)) < 0.05, rng.integers(0, CLASSES, (SIZE, SIZE)), face(SIZE))
    holes = np.where(rng.random((SIZE, SIZE)) < 0.2, 255, face(SIZE))
    return {
        "two classes": rng.integers(0, 2, (SIZE, SIZE)),
        "four classes": rng.integers(0, CLASSES, (SIZE, SIZE)),
        "face": face(SIZE),
        "noisy face": noisy,
        "ignored": holes,
        "checkerboard": np.indices((SIZE, SIZE)).sum(axis=0) % 2,
        "spiral": spiral(SIZE),
        "turned spiral": spiral(SIZE)[::-1, ::-1],
        "one class": np.full((SIZE, SIZE), 3),
        "all ignored": np.full((SIZE, SIZE), 255),
    }


MAPS = maps()
BATCH = np.stack(list(MAPS.values())).astype(np.int32)


def by_skimage(image, connectivity=4):
    """Number of the first pixel of each component; skimage's own numbers differ in order between versions."""
    numbers = measure.label(image + 1, background=256, connectivity={4: 1, 8: 2}[connectivity])
    _, first, inverse = np.unique(numbers, return_index=True, return_inverse=True)
    return np.where(image == 255, -1, first[inverse].reshape(image.shape))


@pytest.mark.parametrize("connectivity", [4, 8])
def test_partition_is_that_of_skimage(connectivity):
    ours = label(BATCH, connectivity=connectivity)
    assert ours.dtype == jnp.int32
    for name, image, ids in zip(MAPS, BATCH, ours, strict=True):
        np.testing.assert_array_equal(ids, by_skimage(image, connectivity), err_msg=name)


def test_the_spiral_is_one_long_way():
    assert MAPS["spiral"].sum() > SIZE**2 / 3
    np.testing.assert_array_equal(np.unique(by_skimage(MAPS["spiral"])[MAPS["spiral"] == 1]), [0])


def test_corners_join_in_8_only():
    board = MAPS["checkerboard"][None]
    assert len(np.unique(label(board, connectivity=4))) == SIZE**2
    assert len(np.unique(label(board, connectivity=8))) == 2


def test_oblong_maps_and_bytes():
    image = np.random.default_rng(1).integers(0, 3, (7, 19)).astype(np.uint8)
    np.testing.assert_array_equal(label(image[None])[0], by_skimage(image.astype(int)))


def test_other_connectivity_is_refused():
    with pytest.raises(ValueError, match="neither 4 nor 8"):
        components(BATCH, connectivity=6)


def test_no_gradient_flows():
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(x * components((x > 0).astype(jnp.int32)))))(jnp.ones((1, 4, 4)))
    np.testing.assert_array_equal(gradient, 0)
