import numpy as np
import pytest
from dots import assert_together, centroid, five_dots
from skimage.registration import phase_cross_correlation

from input_pipeline.images.resampling import pixel_centres, sample
from input_pipeline.labels import IGNORE
from input_pipeline.landmarks import TEMPLATE, alignment_matrix
from input_pipeline.tanh_warp import (
    FACTOR,
    LIMIT,
    squash,
    stretch,
    tanh_unwarp,
    tanh_warp,
    unwarp_points,
    warp_points,
)

SIDE = 128
# A face that fills about half of a 160 x 128 picture, leaning.
ANGLE = np.deg2rad(9)
TURN = np.array([[np.cos(ANGLE), -np.sin(ANGLE)], [np.sin(ANGLE), np.cos(ANGLE)]])
POINTS = (TEMPLATE - 0.5) @ TURN.T * 150 + (84, 60)
HEIGHT, WIDTH = 128, 160
MATRIX = alignment_matrix(POINTS, TEMPLATE, SIDE)


def blobs_of_light(side):
    """Smooth spots of different sizes around the centre, black near the border."""
    xs, ys = np.arange(side) + 0.5, np.arange(side)[:, None] + 0.5
    spots = [(0.5, 0.45, 0.05, 180), (0.38, 0.6, 0.04, 150), (0.63, 0.58, 0.06, 200), (0.45, 0.3, 0.05, 120)]
    light = sum(a * np.exp(-(((xs / side - x) ** 2 + (ys / side - y) ** 2) / (2 * s * s))) for x, y, s, a in spots)
    return np.repeat(light[..., None], 3, axis=-1)


def test_known_values():
    u = np.array([-9, -1, -0.2, 0, 0.1, 0.2, 0.6, 1, 9])
    expected = [-1, -0.2 - 0.8 * np.tanh(1), -0.2, 0, 0.1, 0.2, 0.2 + 0.8 * np.tanh(0.5), 0.2 + 0.8 * np.tanh(1), 1]
    np.testing.assert_allclose(squash(u, 0.8), expected, atol=1e-8)
    np.testing.assert_allclose(squash(u, 1.0), np.tanh(u))


@pytest.mark.parametrize("factor", [0.1, FACTOR, 1.0])
def test_stretch_inverts_squash_up_to_the_limit(factor):
    reach = 1 - factor + factor * np.arctanh(LIMIT)
    u = np.linspace(-reach, reach, 4001)
    np.testing.assert_allclose(stretch(squash(u, factor), factor), u, atol=1e-9)
    np.testing.assert_allclose(stretch(np.array([1.0, -1.0]), factor), [reach, -reach])


@pytest.mark.parametrize("factor", [0.1, FACTOR, 1.0])
def test_squash_is_smooth_odd_and_increasing(factor):
    u = np.linspace(-3, 3, 6001)
    v = squash(u, factor)
    np.testing.assert_allclose(v, -v[::-1], atol=1e-12)
    slope = np.diff(v) / np.diff(u)
    assert slope.min() >= 0
    assert slope.max() <= 1 + 1e-9
    assert np.abs(np.diff(slope)).max() < 0.02  # no kink where the middle ends


def test_point_maps_are_exact_inverses():
    reach = 1 - FACTOR + FACTOR * np.arctanh(LIMIT)
    edge = squash(np.array(reach), FACTOR)
    warped = SIDE / 2 * (np.random.default_rng(0).uniform(-edge, edge, (500, 2)) + 1)
    picture = unwarp_points(warped, MATRIX, SIDE, FACTOR)
    np.testing.assert_allclose(warp_points(picture, MATRIX, SIDE, FACTOR), warped, atol=1e-9)
    again = unwarp_points(warp_points(picture, MATRIX, SIDE, FACTOR), MATRIX, SIDE, FACTOR)
    np.testing.assert_allclose(again, picture, atol=1e-6)


def test_the_middle_of_the_square_is_only_aligned():
    middle = SIDE / 2 + SIDE / 2 * 0.2 * np.array([(-1, -1), (0.5, 0.9), (0, 0), (1, 1)])
    picture = unwarp_points(middle, MATRIX, SIDE, FACTOR)
    np.testing.assert_allclose(picture @ MATRIX[:, :2].T + MATRIX[:, 2], middle, atol=1e-9)


@pytest.mark.parametrize("mask_scale", [1, 2])
def test_image_mask_and_landmarks_move_together(mask_scale):
    face = five_dots(HEIGHT, WIDTH, POINTS, radius=3.5, mask_scale=mask_scale)
    warped = tanh_warp(face, MATRIX, SIDE, FACTOR, edge=True)
    assert warped["image"].shape == (SIDE, SIDE, 3)
    assert warped["image"].dtype == warped["mask"].dtype == np.uint8
    assert warped["landmarks"].dtype == np.float32
    # The squeeze is steeper on the outer side of a dot: its centroid moves a little towards the middle.
    assert_together(warped, window=6, image_tolerance=0.25, mask_tolerance=0.5)


def test_a_large_picture_is_filtered_and_stays_in_place():
    points = 4 * POINTS
    face = five_dots(4 * HEIGHT, 4 * WIDTH, points, radius=14)
    matrix = alignment_matrix(points, TEMPLATE, SIDE)
    assert_together(tanh_warp(face, matrix, SIDE, FACTOR, edge=True), 6, image_tolerance=0.25, mask_tolerance=0.5)
    stripes = np.zeros((4 * HEIGHT, 4 * WIDTH, 3), np.uint8)
    stripes[:, ::2] = 255
    middle = tanh_warp({"image": stripes}, matrix, SIDE, FACTOR, edge=True)["image"][48:80, 48:80]
    assert np.abs(middle.astype(int) - 127.5).max() < 25


def test_round_trip_gives_image_mask_and_landmarks_back():
    face = five_dots(HEIGHT, WIDTH, POINTS, radius=3.5)
    again = tanh_unwarp(tanh_warp(face, MATRIX, SIDE, FACTOR, edge=True), MATRIX, HEIGHT, WIDTH, FACTOR)
    np.testing.assert_allclose(again["landmarks"], face["landmarks"], atol=1e-4)
    assert_together(again, window=7, image_tolerance=0.05)
    assert (again["mask"] != face["mask"]).mean() < 0.01
    assert np.abs(again["image"].astype(int) - face["image"]).mean() < 0.5


def test_round_trip_does_not_drift():
    image = blobs_of_light(SIDE)
    matrix = np.array([[1.0, 0, 0], [0, 1, 0]])
    warped = tanh_warp({"image": image}, matrix, SIDE, FACTOR, edge=True)
    again = tanh_unwarp(warped, matrix, SIDE, SIDE, FACTOR)["image"]
    assert np.abs(centroid(again[..., 0]) - centroid(image[..., 0])).max() < 0.02
    shift, _, _ = phase_cross_correlation(image[..., 0], again[..., 0], upsample_factor=100, normalization=None)
    assert np.abs(shift).max() < 0.02
    np.testing.assert_allclose(again, image, atol=3)


def test_the_published_mix_of_conventions_drifts_by_a_pixel():
    """Pixel i of the grid is looked up at i, not at i + 0.5, on the way there and on the way back."""
    image = blobs_of_light(SIDE)
    matrix = np.array([[1.0, 0, 0], [0, 1, 0]])
    indices = pixel_centres(SIDE, SIDE) - 0.5
    warped = sample(image, unwarp_points(indices, matrix, SIDE, FACTOR), edge=False)
    again = sample(warped, warp_points(indices, matrix, SIDE, FACTOR), edge=False)
    drift = centroid(again[..., 0]) - centroid(image[..., 0])
    np.testing.assert_allclose(drift, [1, 1], atol=0.1)
    shift, _, _ = phase_cross_correlation(image[..., 0], again[..., 0], upsample_factor=100, normalization=None)
    np.testing.assert_allclose(shift, [-1, -1], atol=0.1)  # (y, x) that would undo it


@pytest.mark.parametrize(("edge", "outside"), [(True, 90), (False, 0)])
def test_beyond_the_picture(edge, outside):
    face = {"image": np.full((40, 40, 3), 90, np.uint8), "mask": np.full((40, 40), 3, np.uint8)}
    matrix = np.array([[1.0, 0, 44], [0, 1, 44]])  # the picture is the middle of the square
    warped = tanh_warp(face, matrix, SIDE, FACTOR, edge=edge)
    ys, xs = np.mgrid[:SIDE, :SIDE] + 0.5
    positions = unwarp_points(np.stack([xs, ys], axis=-1), matrix, SIDE, FACTOR)
    inside = ((positions >= 0) & (positions < 40)).all(axis=-1)
    np.testing.assert_array_equal(warped["mask"], np.where(inside, 3, IGNORE))
    assert (warped["image"][0] == outside).all()
    assert (warped["image"][64, 64] == 90).all()


def test_the_square_holds_the_whole_neighbourhood():
    """What a tanh warp is for: all of a picture around a face of a third of its width is in the square."""
    points = (TEMPLATE - 0.5) * 80 + (96, 64)
    matrix = alignment_matrix(points, TEMPLATE, SIDE)
    corners = warp_points(np.array([(0.5, 0.5), (191.5, 0.5), (0.5, 127.5), (191.5, 127.5)]), matrix, SIDE, FACTOR)
    assert corners.min() > 0
    assert corners.max() < SIDE
