"""The triangle and the animation of edited faces: what stands where, and in which order."""

import io

import numpy as np
import pytest
from PIL import Image

from l2s_jax.report.animation import gif
from l2s_jax.report.overlays import MAT
from l2s_jax.report.triangle import triangle


def flat(level):
    return np.full((20, 30, 3), level, np.uint8)


def test_a_triangle_is_centred_with_the_first_on_top():
    sheet = triangle([flat(level) for level in (50, 100, 150)], [["A"], ["B"], ["C"]])
    top = np.argwhere((sheet == 50).all(-1))
    left, right = (np.argwhere((sheet == level).all(-1)) for level in (100, 150))
    assert top[:, 0].max() < left[:, 0].min()
    assert left[:, 0].min() == right[:, 0].min()
    assert left[:, 1].max() < right[:, 1].min()
    centre = (top[:, 1].min() + top[:, 1].max()) / 2
    assert centre == pytest.approx((left[:, 1].min() + right[:, 1].max()) / 2, abs=1)
    assert len(top) >= 20 * 30
    np.testing.assert_array_equal(sheet[0, 0], MAT)
    assert triangle([flat(50)], [[""]]).shape[0] < sheet.shape[0]


@pytest.mark.parametrize("count", [2, 4, 5])
def test_other_numbers_make_no_triangle(count):
    with pytest.raises(ValueError, match="make no triangle"):
        triangle([flat(0)] * count, [[""]] * count)
    with pytest.raises(ValueError, match="make no triangle"):
        triangle([flat(0)] * 3, [[""]] * count)


def test_an_animation_goes_there_and_back_for_ever():
    levels = [0, 100, 200, 250]
    film = Image.open(io.BytesIO(gif([flat(level) for level in levels], 100, "made by a test")))
    assert (film.n_frames, film.info["loop"], film.info["duration"]) == (6, 0, 100)
    assert film.info["comment"] == b"made by a test"
    shown = []
    for number in range(film.n_frames):
        film.seek(number)
        shown.append(int(np.asarray(film.convert("RGB")).mean()))
    np.testing.assert_allclose(shown, [0, 100, 200, 250, 200, 100], atol=4)
    assert Image.open(io.BytesIO(gif([flat(0), flat(9)], 100))).n_frames == 2


def test_a_small_part_of_many_shades_keeps_its_colour():
    """Lips of 1 % of a noisy picture: a palette by counting alone has none of their colours left."""
    rng = np.random.default_rng(0)
    frames = rng.integers(60, 220, (2, 128, 128, 1), np.uint8) + rng.integers(0, 30, (2, 128, 128, 3), np.uint8)
    for frame, colour in zip(frames, ((230, 20, 20), (20, 20, 230)), strict=True):
        frame[60:72, 58:70] = colour
    film = Image.open(io.BytesIO(gif(frames, 100)))
    for number, frame in enumerate(frames):
        film.seek(number)
        error = np.abs(np.asarray(film.convert("RGB")).astype(int) - frame)
        assert error[62:70, 60:68].max() < 12
        assert error.mean() < 12
