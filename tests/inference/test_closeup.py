"""Where faces are: geometry by hand, faces that are none, mosaics; and the parser on a picture with a small face."""

import numpy as np
import pytest

from input_pipeline.images.resize_rules import PAD_SQUARE
from input_pipeline.labels import CELEBAMASK
from l2s_jax.inference import closeup
from l2s_jax.inference.closeup import Mosaic, Square
from l2s_jax.inference.processing import Planes

SIZE = 80


def parsed(parts, size=SIZE):
    """Probabilities [S, S, K] of the background with boxes (top, bottom, left, right) of classes."""
    ids = np.zeros((size, size), int)
    for name, (top, bottom, left, right) in parts:
        ids[top:bottom, left:right] = CELEBAMASK[name]
    return np.eye(len(CELEBAMASK), dtype=np.float32)[ids]


FACE = [
    ("l_eye", (30, 34, 44, 50)),
    ("r_eye", (30, 34, 30, 36)),
    ("nose", (34, 42, 37, 43)),
    ("u_lip", (43, 46, 34, 46)),
]


def test_features_that_lie_together_make_a_face_around_which_a_portrait_is_cut():
    (face,) = closeup.find(parsed(FACE), (2 * SIZE, 2 * SIZE), PAD_SQUARE, CELEBAMASK)
    # The features are 20 x 16 pixels of the network, 40 x 32 of the picture; the width decides.
    side = 1.25 * 40 / 0.42
    assert face.side == pytest.approx(side, abs=1)
    assert face.left + face.side / 2 == pytest.approx(80, abs=1)
    assert face.top + face.side / 2 == pytest.approx(76 - side * 0.09 / 1.25, abs=1)


def test_pictures_of_another_shape_are_measured_without_their_padding():
    (face,) = closeup.find(parsed(FACE), (SIZE, 2 * SIZE), PAD_SQUARE, CELEBAMASK)
    assert face.side == pytest.approx(1.25 * 40 / 0.42, abs=1)
    assert face.top + face.side / 2 == pytest.approx((38 - 20) * 2 - face.side * 0.09 / 1.25, abs=2)


@pytest.mark.parametrize(
    "parts",
    [
        [],
        FACE[:2],  # eyes alone
        [("nose", FACE[0][1]), ("l_eye", FACE[2][1]), ("u_lip", FACE[3][1])],  # the nose above the eyes
        [FACE[0], FACE[2], ("u_lip", (70, 74, 5, 15))],  # a mouth elsewhere
        [
            ("l_eye", (30, 31, 44, 47)),
            ("nose", (34, 42, 37, 43)),
            ("u_lip", (43, 46, 34, 46)),
        ],  # three pixels of an eye
    ],
)
def test_what_is_no_face(parts):
    assert closeup.find(parsed(parts), (SIZE, SIZE), PAD_SQUARE, CELEBAMASK) == []


def test_a_badge_with_a_speck_of_an_eye_is_no_face():
    large = [(name, tuple(5 * side for side in box)) for name, box in FACE]
    speck = [("l_eye", (150, 152, 230, 234)), *large[2:]]  # eight pixels above a nose and lips of 1,650
    for parts, count in ((large, 1), (speck, 0)):
        found = closeup.find(parsed(parts, 5 * SIZE), (SIZE, SIZE), PAD_SQUARE, CELEBAMASK)
        assert len(found) == count


def test_a_face_is_confirmed_by_what_a_closer_look_finds_near_the_middle():
    square = Square(100, 50, 160)
    found = closeup.confirmed(square, parsed(FACE), PAD_SQUARE, CELEBAMASK)
    (inside,) = closeup.find(parsed(FACE), (160, 160), PAD_SQUARE, CELEBAMASK)
    assert found == Square(100 + inside.left, 50 + inside.top, inside.side)
    away = [(name, (top - 25, bottom - 25, left - 28, right - 28)) for name, (top, bottom, left, right) in FACE]
    assert closeup.confirmed(square, parsed(away), PAD_SQUARE, CELEBAMASK) is None
    assert closeup.confirmed(square, parsed([]), PAD_SQUARE, CELEBAMASK) is None


def test_a_closer_look_is_worth_it_for_a_small_face_a_huge_one_or_several():
    assert closeup.worth([Square(0, 0, 90)], (100, 200))
    assert not closeup.worth([Square(0, 0, 96)], (100, 200))
    assert not closeup.worth([Square(-20, -20, 140)], (100, 200))
    assert closeup.worth([Square(-40, -40, 180)], (100, 200))  # too large for a portrait: is it one?
    assert closeup.worth([Square(0, 0, 96), Square(100, 0, 96)], (100, 200))
    assert not closeup.worth([], (100, 200))


def test_a_face_of_a_film_keeps_its_square_until_it_has_moved_or_grown():
    before = [Square(100, 50, 80), Square(300, 50, 80)]
    assert closeup.held(before, [Square(305, 55, 84), Square(94, 47, 90)]) == [before[1], before[0]]
    gone = [Square(120, 50, 80), Square(290, 40, 100)]
    assert closeup.held(before, gone) == gone


def test_a_cut_repeats_the_border():
    image = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
    cut = closeup.cut(image, Square(-1, 1, 4))
    np.testing.assert_array_equal(cut[:, :, 0], [[9, 9, 12, 15], [18, 18, 21, 24], [18, 18, 21, 24], [18, 18, 21, 24]])


def piece(square, k):
    probabilities = np.zeros((4, 4, 3), np.float32)
    probabilities[..., k] = 1
    return square, Planes(probabilities, square.side, square.side, PAD_SQUARE)


def test_a_mosaic_gives_every_pixel_to_the_nearest_square_and_the_rest_to_the_background():
    planes = Mosaic([piece(Square(-2, 0, 8), 1), piece(Square(4, 2, 4), 2)], (6, 10))
    everything = np.stack(list(planes))
    assert everything.shape == (3, 6, 10)
    np.testing.assert_allclose(everything.sum(axis=0), 1)
    np.testing.assert_array_equal(everything.argmax(axis=0)[3], [1, 1, 1, 1, 1, 2, 2, 2, 0, 0])
    np.testing.assert_array_equal(everything.argmax(axis=0)[0], [1] * 6 + [0] * 4)


def test_of_faces_that_are_near_one_another_the_first_is_kept():
    surest = [Square(52, 22, 36), Square(50, 20, 40), Square(150, 20, 40)]
    assert closeup.distinct(surest) == [Square(150, 20, 40), Square(52, 22, 36)]


def test_an_unsure_face_is_none():
    faint = 0.6 * parsed(FACE) + 0.4 / len(CELEBAMASK)
    assert closeup.find(faint.astype(np.float32), (SIZE, SIZE), PAD_SQUARE, CELEBAMASK) == []
