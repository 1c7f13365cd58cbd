import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import measure

from l2s_jax.layers.components import compact, components
from l2s_jax.layers.islands import remove_islands

SIZE = 48
CLASSES = 4
label = jax.jit(components, static_argnames="connectivity")
clean = jax.jit(remove_islands, static_argnums=1)


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


def test_compact_numbers():
    ids = label(BATCH)
    numbers, counts = jax.jit(compact)(ids)
    for image, ours, count in zip(ids, numbers, counts, strict=True):
        roots = np.unique(image[image >= 0])
        assert count == len(roots)
        np.testing.assert_array_equal(ours, np.where(image < 0, -1, np.searchsorted(roots, image)))


def test_other_connectivity_is_refused():
    with pytest.raises(ValueError, match="neither 4 nor 8"):
        components(BATCH, connectivity=6)


def test_no_gradient_flows():
    gradient = jax.jit(jax.grad(lambda x: jnp.sum(x * components((x > 0).astype(jnp.int32)))))(jnp.ones((1, 4, 4)))
    np.testing.assert_array_equal(gradient, 0)


def removed_by_hand(image, min_pixels):
    """The rule of `remove_islands`, component by component."""
    image, numbers = image.copy(), by_skimage(image)
    stays = {n for n in np.unique(numbers) if n >= 0 and (numbers == n).sum() >= min_pixels}
    while True:
        taken = {}
        for n in set(np.unique(numbers)) - stays - {-1}:
            votes = np.zeros(CLASSES, int)
            for y, x in np.argwhere(numbers == n):
                for u, v in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                    if 0 <= u < image.shape[0] and 0 <= v < image.shape[1] and numbers[u, v] in stays:
                        votes[image[u, v]] += 1
            if votes.any():
                taken[n] = votes.argmax()
        if not taken:
            return image
        for n, k in taken.items():
            image[numbers == n] = k
        stays |= set(taken)


@pytest.mark.parametrize("min_pixels", [3, 30])
def test_islands_by_hand(min_pixels):
    cleaned = clean(BATCH[:, ::2, ::2], CLASSES, min_pixels)
    for name, image, ours in zip(MAPS, BATCH[:, ::2, ::2], cleaned, strict=True):
        np.testing.assert_array_equal(ours, removed_by_hand(image, min_pixels), err_msg=name)


def test_nothing_small_remains():
    image = MAPS["noisy face"]
    cleaned = np.asarray(clean(image[None], CLASSES, 12)[0])
    assert np.unique(by_skimage(image), return_counts=True)[1].min() == 1
    assert np.unique(by_skimage(cleaned), return_counts=True)[1].min() >= 12


def test_an_island_takes_most_of_its_border_and_nesting_is_filled_from_outside():
    image = np.zeros((SIZE, SIZE), np.int32)
    image[:, 6:] = 1
    image[3:7, 5:9] = 2  # borders on 0 with 4 + 2 pairs, on 1 with 4 + 6
    image[4:6, 6:8] = 3
    expected = np.zeros((SIZE, SIZE), np.int32)
    expected[:, 6:] = 1
    expected[3:7, 5] = 1
    np.testing.assert_array_equal(clean(image[None], CLASSES, 17)[0], expected)


def test_what_has_no_answer_stays():
    for name in ("checkerboard", "all ignored"):
        np.testing.assert_array_equal(clean(MAPS[name][None], CLASSES, 5)[0], MAPS[name])
    cut_off = np.zeros((1, SIZE, SIZE), np.int32)
    cut_off[0, 0, :2] = 1, 255
    cut_off[0, 1, :2] = 255
    np.testing.assert_array_equal(clean(cut_off, CLASSES, 2), cut_off)


def test_one_pixel_changes_nothing_and_dtype_stays():
    image = BATCH.astype(np.uint8)
    cleaned = clean(image, CLASSES, 1)
    assert cleaned.dtype == jnp.uint8
    np.testing.assert_array_equal(cleaned, image)
