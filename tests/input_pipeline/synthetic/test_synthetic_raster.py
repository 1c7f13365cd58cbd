"""Exact area coverage: known areas, holes, unions, clipping."""

import numpy as np
import pytest

from input_pipeline.synthetic.pose import SCENE, Pose
from input_pipeline.synthetic.raster import rasterise
from input_pipeline.synthetic.sketch import Sketch

POSE = Pose(0.0, 0.0, 0.0, 1.0, (0.0, 0.0))
SIZE = 16


def square(x0, y0, x1, y1):
    return np.array([(x0, y0, 0), (x1, y0, 0), (x1, y1, 0), (x0, y1, 0)]) / SIZE


def cover(*rings, size=SIZE, **options):
    """Full-size coverage of (points, hole) rings in pixels of a 16 x 16 image."""
    sketch = Sketch()
    for points, hole in rings:
        sketch.ring("part", points, SCENE, hole=hole, **{"smooth": False, **options})
    box, alpha = rasterise(sketch.pose(POSE, samples=3), size)["part"]
    full = np.zeros((size, size))
    full[box] = alpha
    return full


def test_fractions_of_pixels_are_exact():
    alpha = cover((square(2.25, 3.5, 4.75, 5.0), False))
    expected = np.zeros((SIZE, SIZE))
    expected[3, 2:5] = [0.375, 0.5, 0.375]
    expected[4, 2:5] = [0.75, 1.0, 0.75]
    np.testing.assert_allclose(alpha, expected, atol=1e-7)


def test_triangle_has_its_area_whichever_way_it_runs():
    triangle = np.array([(1.0, 2.0, 0), (14.5, 3.25, 0), (6.75, 15.0, 0)]) / SIZE
    area = 0.5 * abs((14.5 - 1.0) * (15.0 - 2.0) - (6.75 - 1.0) * (3.25 - 2.0))
    for ring in (triangle, triangle[::-1]):
        assert cover((ring, False)).sum() == pytest.approx(area, abs=1e-5)


def test_rings_unite_and_holes_cut():
    left, right = square(2, 2, 8, 8), square(5, 2, 11, 8)
    united = cover((left, False), (right[::-1], False))
    assert united.sum() == pytest.approx(9 * 6, abs=1e-5)
    assert united.max() == 1.0
    ring = cover((square(2, 2, 10, 10), False), (square(4, 4, 8, 8), True))
    assert ring.sum() == pytest.approx(64 - 16, abs=1e-5)
    assert ring[5, 5] == 0.0


@pytest.mark.parametrize(
    ("ring", "area"),
    [((-5, -5, 5, 5), 25), ((10, 10, 30, 30), 36), ((-9, 4, 40, 6), 32), ((20, 20, 30, 30), 0), ((-9, 2, -3, 8), 0)],
)
def test_what_lies_outside_the_image_is_cut(ring, area):
    assert cover((square(*ring), False)).sum() == pytest.approx(area, abs=1e-5)


def test_a_smooth_ring_of_a_circle_is_a_circle():
    turn = np.arange(12) * np.pi / 6
    circle = np.stack([8 + 6 * np.sin(turn), 8 - 6 * np.cos(turn), 0 * turn], axis=1) / SIZE
    assert cover((circle, False), smooth=True).sum() == pytest.approx(np.pi * 36, rel=0.02)


def test_coverage_of_a_coarse_pixel_is_the_mean_of_its_fine_ones():
    triangle = np.array([(1.3, 2.2, 0), (14.1, 5.9, 0), (4.4, 13.7, 0)]) / SIZE
    fine = cover((triangle, False), size=64).reshape(16, 4, 16, 4).mean((1, 3))
    np.testing.assert_allclose(cover((triangle, False)), fine, atol=1e-6)
