import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from input_pipeline import landmarks as host_landmarks
from input_pipeline.errors import UserError
from input_pipeline.images.resampling import pixel_centres, sample
from l2s_jax.layers import tanh_warp
from tests.helpers import numpy_tanh_warp as host

SIDE = 48
EXACT = tanh_warp.CONVENTIONS["exact"]


def faces(count=3, seed=0):
    """Five points near the template, turned, scaled and shifted: float32 [count, 5, 2]."""
    rng = np.random.default_rng(seed)
    angle, size = rng.uniform(-0.5, 0.5, count), rng.uniform(0.6, 1.3, count)
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1).reshape(-1, 2, 2)
    points = (
        (host_landmarks.TEMPLATE - 0.5) @ (size[:, None, None] * turn) + 0.5 + rng.uniform(-0.1, 0.1, (count, 1, 2))
    )
    return (SIDE * points + rng.normal(0, 0.5, points.shape)).astype(np.float32)


def smooth(count=3, channels=3):
    """Pictures without an edge, which bilinear interpolation leaves as they are: [count, SIDE, SIDE, channels]."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    waves = [np.sin(2 * x + k) + np.cos(3 * y - k) for k in range(count * channels)]
    return np.moveaxis(np.reshape(waves, (count, channels, SIDE, SIDE)), 1, -1).astype(np.float32)


@pytest.fixture(scope="module")
def functions():
    return {
        name: (
            jax.jit(lambda p, c=c: tanh_warp.alignment(p, SIDE, c)),
            jax.jit(lambda x, m, c=c: tanh_warp.warp(x, m, c)),
            jax.jit(lambda x, m, c=c: tanh_warp.unwarp(x, m, c)),
        )
        for name, c in tanh_warp.CONVENTIONS.items()
    }


def test_exact_is_the_data_pipelines(functions):
    align, warp, unwarp = functions["exact"]
    points, images = faces(), smooth()
    matrices = align(points)
    warped, back = warp(images, matrices), unwarp(images, matrices)
    grid = pixel_centres(SIDE, SIDE)
    for row in range(len(points)):
        matrix = host_landmarks.alignment_matrix(points[row], host_landmarks.TEMPLATE, SIDE)
        np.testing.assert_allclose(matrices[row], matrix, rtol=1e-4, atol=1e-3)
        there = sample(images[row], host.unwarp_points(grid, matrix, SIDE, host.FACTOR), edge=False)
        np.testing.assert_allclose(warped[row], there, atol=2e-3)
        here = sample(images[row], host.warp_points(grid, matrix, SIDE, host.FACTOR), edge=True)
        np.testing.assert_allclose(back[row], here, atol=2e-3)


def shift_after_round_trip(functions, convention):
    """Mean (x, y) by which the middle of a picture moves: the picture says where its pixels are."""
    align, warp, unwarp = functions[convention]
    where = np.broadcast_to(pixel_centres(SIDE, SIDE), (3, SIDE, SIDE, 2)).astype(np.float32)
    matrices = align(faces())
    middle = slice(SIDE // 3, 2 * SIDE // 3)
    # Sampled at (x, y) the picture of positions is (x, y): what it shows less where it shows it is the shift.
    return np.asarray(unwarp(warp(where, matrices), matrices) - where)[:, middle, middle].mean((0, 1, 2))


def test_exact_round_trip_moves_nothing_and_the_published_one_a_pixel(functions):
    np.testing.assert_allclose(shift_after_round_trip(functions, "exact"), 0, atol=0.02)
    np.testing.assert_allclose(shift_after_round_trip(functions, "published"), -1, atol=0.25)


def test_round_trip_of_a_picture(functions):
    align, warp, unwarp = functions["exact"]
    images, matrices = smooth(), align(faces())
    back = unwarp(warp(images, matrices), matrices)
    middle = slice(SIDE // 4, -SIDE // 4)
    np.testing.assert_allclose(back[:, middle, middle], images[:, middle, middle], atol=0.02)


@pytest.mark.parametrize("convention", ["exact", "published"])
def test_gradients_flow_through_both_ways(functions, convention):
    align, warp, unwarp = functions[convention]
    matrices = align(faces(1))
    check_grads(lambda x: warp(x, matrices), (smooth(1, 1),), order=1, modes=["rev"], eps=1e-2, atol=1e-2, rtol=1e-2)
    check_grads(lambda x: unwarp(x, matrices), (smooth(1, 1),), order=1, modes=["rev"], eps=1e-2, atol=1e-2, rtol=1e-2)


def test_every_row_has_its_own_face(functions):
    align, warp, _ = functions["exact"]
    images, points = smooth(), faces()
    whole = warp(images, align(points))
    for row in range(3):
        alone = warp(images[row : row + 1], align(points[row : row + 1]))
        np.testing.assert_allclose(whole[row], alone[0], atol=1e-4)


@pytest.mark.parametrize("count", [68, 70, 106])
def test_schemes_have_the_five_points_of_the_data_pipeline(functions, count):
    points = np.random.default_rng(1).uniform(0, SIDE, (1, count, 2)).astype(np.float32)
    matrix = host_landmarks.alignment_matrix(points[0], host_landmarks.TEMPLATE, SIDE)
    found = functions["exact"][0](points)[0]
    np.testing.assert_allclose(found, matrix, rtol=1e-3, atol=1e-3)


def test_an_unknown_scheme_is_refused():
    with pytest.raises(UserError, match="faces of 7 landmarks"):
        tanh_warp.alignment(jnp.zeros((1, 7, 2)), SIDE, EXACT)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_points_that_say_nothing_leave_the_face_where_it_is(functions, value):
    """Padding has such points, and must not turn a batch into NaN."""
    align, warp, unwarp = functions["published"]
    matrices = align(np.full((3, 5, 2), value, np.float32))
    np.testing.assert_array_equal(matrices, np.broadcast_to(np.eye(2, 3), (3, 2, 3)))
    assert np.isfinite(unwarp(warp(smooth(), matrices), matrices)).all()


def test_outside_is_zero_or_the_border():
    sample = jax.jit(tanh_warp.sample, static_argnames="edge")
    image = np.ones((4, 6, 1), np.float32)
    positions = np.float32([[[-0.5, 2.0], [6.0, 2.0], [3.0, 2.0], [3.0, 1e12]]])
    np.testing.assert_allclose(sample(image, positions, edge=False)[0, :, 0], [0, 0.5, 1, 0], atol=1e-6)
    np.testing.assert_allclose(sample(image, positions, edge=True)[0, :, 0], 1, atol=1e-6)
