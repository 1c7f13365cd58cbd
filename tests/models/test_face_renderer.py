"""Drawn faces: their landmarks lie on what is drawn, and every factor shows."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.landmarks import mirror_order
from l2s_jax.models.face_renderer import ATTRIBUTES, IDENTITY, LANDMARKS, landmarks, render

SIDE = 64
FACTORS = IDENTITY + ATTRIBUTES


@jax.jit
def drawn(factors):
    people, looks = factors[:, : len(IDENTITY)], factors[:, len(IDENTITY) :]
    return render(people, looks, SIDE), landmarks(people, looks, SIDE)


def face(**factors):
    """(picture [64, 64, 3], landmarks [68, 2]) of one face, all other factors 0."""
    picture, points = drawn(np.array([[factors.get(name, 0.0) for name in FACTORS]], np.float32))
    return np.asarray(picture[0]), np.asarray(points[0])


def test_shapes_and_range():
    picture, points = drawn(np.random.default_rng(0).normal(0, 2, (1, len(FACTORS))).astype(np.float32))
    assert picture.shape == (1, SIDE, SIDE, 3)
    assert picture.dtype == jnp.float32
    assert points.shape == (1, LANDMARKS, 2)
    assert np.abs(picture).max() < 1


def test_a_frontal_face_is_its_own_mirror_image():
    picture, points = face(skin=1.0)
    np.testing.assert_allclose(picture, picture[:, ::-1], atol=1e-4)
    flipped = points[mirror_order(LANDMARKS)] * [-1, 1] + [SIDE, 0]
    np.testing.assert_allclose(flipped, points, atol=1e-4)


@pytest.mark.parametrize("name", FACTORS)
def test_every_factor_shows(name):
    (low, _), (high, _) = face(**{name: -1.0}), face(**{name: 1.0})
    changed = np.abs(low - high).max(axis=-1)
    assert (changed > 0.1).sum() >= 12, "fewer than a dozen of 4096 pixels"


def test_landmarks_move_with_the_picture():
    """A head shifted by whole pixels is the same head elsewhere; a rolled one is rotated about the centre."""
    shift = np.arctanh(2 * 4 / SIDE / 0.16) / 0.7  # 4 px
    (still, at), (moved, there) = face(), face(shift=shift)
    np.testing.assert_allclose(there, at + np.array([4, 0]), atol=1e-3)
    np.testing.assert_allclose(moved[:, 4:], still[:, :-4], atol=1e-3)
    _, rolled = face(roll=1.0)
    angle = 0.35 * np.tanh(0.7)
    turned = (at - SIDE / 2) @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    np.testing.assert_allclose(rolled, turned + SIDE / 2, atol=1e-3)


def test_landmarks_lie_on_what_is_drawn():
    """The jaw runs between skin and background; inside of lids is white or iris; between inner lips it is dark."""
    picture, points = face(skin=2.0, hair=-2.0, mouth_opening=1.0, eye_opening=1.0)

    def colour(x, y):
        return picture[int(y), int(x)]

    for x, y in points[6:11]:  # the chin
        skin, beyond = colour(x, y - 3), colour(x, min(y + 7, SIDE - 1))
        assert np.abs(skin - beyond).max() > 0.3
    for first in (36, 42):
        x, y = points[first : first + 6].mean(0)
        assert colour(x, y).max() < -0.7, "the pupil"
    inside, skin = points[60:68].mean(0), points[48:60, 1].max() + 3
    assert colour(*inside).sum() < colour(inside[0], skin).sum() - 0.5
    mouth, smiling = face()[1], face(smile=1.5)[1]
    assert smiling[48, 1] < mouth[48, 1] - 2  # corners rise
    np.testing.assert_allclose(smiling[57], mouth[57], atol=1e-3)  # the middle stays


def test_pictures_can_be_differentiated_in_every_factor():
    @jax.jit
    def slopes(factors):
        picture = lambda f: render(f[None, : len(IDENTITY)], f[None, len(IDENTITY) :], SIDE)[0]  # noqa: E731
        return jax.jacfwd(picture)(factors)

    found = np.asarray(slopes(0.3 * jnp.ones(len(FACTORS))))
    assert np.all(np.isfinite(found))
    assert np.all(np.abs(found).max(axis=(0, 1, 2)) > 0.02)
    step = 1e-2
    ahead, _ = drawn(0.3 + step * np.eye(len(FACTORS), dtype=np.float32))
    behind, _ = drawn(0.3 - step * np.eye(len(FACTORS), dtype=np.float32))
    np.testing.assert_allclose(np.moveaxis(found, -1, 0), (ahead - behind) / (2 * step), atol=0.02)
