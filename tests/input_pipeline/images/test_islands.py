import jax
import numpy as np
import pytest

from input_pipeline.images.components import remove_islands
from input_pipeline.labels import IGNORE
from input_pipeline.synthetic import SyntheticSource
from l2s_jax.layers import islands

SIZE = 40
CLASSES = 19
on_device = jax.jit(islands.remove_islands, static_argnums=1)


def maps():
    rng = np.random.default_rng(0)
    face = SyntheticSource(count=1, size=SIZE, seed=0)[0]["mask"]
    specks = np.where(rng.random((SIZE, SIZE)) < 0.1, rng.integers(0, CLASSES, (SIZE, SIZE)), face)
    return {
        "face": face,
        "specks": specks,
        "ignored": np.where(rng.random((SIZE, SIZE)) < 0.3, IGNORE, specks),
        "noise": rng.integers(0, 3, (SIZE, SIZE)),
        "checkerboard": np.indices((SIZE, SIZE)).sum(axis=0) % 2,
        "all ignored": np.full((SIZE, SIZE), IGNORE),
    }


MAPS = {name: image.astype(np.uint8) for name, image in maps().items()}


@pytest.mark.parametrize("min_pixels", [0, 1, 2, 9, 60, 5000])
def test_the_host_answers_as_the_device(min_pixels):
    expected = np.asarray(on_device(np.stack(list(MAPS.values())), CLASSES, min_pixels))
    for (name, image), cleaned in zip(MAPS.items(), expected, strict=True):
        before = image.copy()
        ours = remove_islands(image, min_pixels)
        np.testing.assert_array_equal(ours, cleaned, err_msg=name)
        assert ours.dtype == image.dtype
        np.testing.assert_array_equal(image, before)


def test_oblong_pictures():
    image = np.zeros((5, 200), np.int32)
    image[2, 10:14] = 7
    image[1:4, 50:60] = 3
    image[2, 55] = 4  # inside an island that goes: it follows
    expected = np.zeros_like(image)
    np.testing.assert_array_equal(remove_islands(image, 31), expected)
    expected[1:4, 50:60] = 3
    np.testing.assert_array_equal(remove_islands(image, 29), expected)
