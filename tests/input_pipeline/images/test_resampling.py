"""The fast affine map against interpolation by definition: conventions, borders, sizes that fast paths do not take."""

import numpy as np
import pytest

from input_pipeline.images.resampling import (
    GREY,
    LONGEST,
    affine_ids,
    affine_image,
    invert,
    pixel_centres,
    reduced,
    sample,
)

MAPS = {
    "nothing": [[1, 0, 0], [0, 1, 0]],
    "half a pixel": [[1, 0, 0.5], [0, 1, -0.5]],
    "twice": [[2, 0, -9], [0, 2, -30]],
    "turned": [[0.8, 0.3, 5], [-0.3, 0.8, 11]],
    "reduced": [[0.3, -0.1, 14], [0.1, 0.3, 5]],
    "out of sight": [[1, 0, 1e7], [0, 1, 0]],
}


def pictures(height, width):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def by_definition(image, matrix, side, edge):
    image, matrix = reduced(image, np.array(matrix, float))
    inverse = invert(matrix)
    positions = pixel_centres(side, side) @ inverse[:, :2].T + inverse[:, 2]
    return sample(image, positions, edge=edge, fill=GREY).astype(int)


@pytest.mark.parametrize("edge", [True, False])
@pytest.mark.parametrize("name", MAPS)
def test_affine_image_interpolates_at_pixel_centres(name, edge):
    """OpenCV 4 rounds positions to 1/32 of a pixel: a few grey levels between neighbours as different as these."""
    image = pictures(60, 80)
    moved = affine_image(image, np.array(MAPS[name], float), 64, edge=edge).astype(int)
    differences = moved - by_definition(image, MAPS[name], 64, edge)
    assert np.abs(differences).max() <= 6
    assert abs(differences.mean()) < 0.2  # ties may be rounded up


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (2, LONGEST), (2, LONGEST + 1), (LONGEST + 9, 1)])
@pytest.mark.parametrize("scale", [1e-6, 0.01, 0.7, 3])
def test_affine_image_of_any_size(shape, scale):
    image, matrix = pictures(*shape), [[scale, 0, 3.3], [0, scale, -20.2]]
    moved = affine_image(image, np.array(matrix, float), 16, edge=True).astype(int)
    assert np.abs(moved - by_definition(image, matrix, 16, True)).max() <= 6


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (2, LONGEST + 1)])
def test_affine_ids_of_any_size(shape):
    mask = pictures(*shape)[..., 0] % 19
    moved = affine_ids(mask, np.array([[1, 0, 2], [0, 1, 3]], float), 8, fill=255)
    expected = np.full((8, 8), 255)
    part = mask[:5, :6]
    expected[3 : 3 + part.shape[0], 2 : 2 + part.shape[1]] = part
    np.testing.assert_array_equal(moved, expected)
