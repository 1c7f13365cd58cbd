"""Where a picture may show faces, in its own pixels; and which of these places count, by what the parser sees there."""

import numpy as np
import skimage.data

from input_pipeline.images.resize_rules import PAD_SQUARE
from input_pipeline.labels import CELEBAMASK
from l2s_jax import bundle
from l2s_jax.inference import closeup, detector
from l2s_jax.inference.closeup import Square
from l2s_jax.inference.finding import Finder
from tests.inference.test_closeup import FACE, parsed


def middle(square):
    return square.left + square.side / 2, square.top + square.side / 2


def test_the_shipped_detector_is_small_and_says_whose_faces_it_learned_from():
    meta = bundle.read_meta(bundle.FACE_DETECTOR)
    assert (bundle.FACE_DETECTOR / bundle.TENSOR_FILE).stat().st_size <= 1.2 * 2**20
    assert "non-commercial" in meta.licence
    assert meta.provenance["command"] == "l2s train --config face_detector_small"


def test_faces_are_detected_in_pixels_of_any_picture():
    head = skimage.data.astronaut()[:240, 100:340]  # an aligned portrait of her has its middle at (124, 100) of this
    wide, tall = np.full((600, 900, 3), 128, np.uint8), np.full((1000, 500, 3), 128, np.uint8)
    wide[180:420, 330:570] = head
    tall[600:720, 100:220] = tall[10:130, 300:420] = head[::2, ::2]
    one, two, none = detector.shipped()([wide, tall, np.full((30, 40, 3), 90, np.uint8)], batch_size=2)
    assert none == []
    face, *_ = one  # a detector may see more than there is: the parser decides
    np.testing.assert_allclose(middle(face), (330 + 124, 180 + 100), atol=20)
    assert 150 < face.side / 1.25 < 220
    np.testing.assert_allclose(sorted(map(middle, two[:2])), [(100 + 62, 600 + 50), (300 + 62, 10 + 50)], atol=12)


STILL = [
    ("l_eye", (32, 37, 46, 53)),
    ("r_eye", (32, 37, 26, 33)),
    ("nose", (37, 48, 36, 44)),
    ("u_lip", (48, 54, 32, 48)),
]
"""A face that stands in a cut as it should; `FACE` is a quarter smaller."""


def test_a_face_that_lies_is_found_by_turning_the_picture():
    image = np.random.default_rng(0).integers(1, 255, (200, 300, 3), dtype=np.uint8)
    image[0, 0] = 0  # the corner that is to the right after a quarter of a turn, clockwise
    there = Square(100, 50, 90)
    cuts = []

    def detect(pictures):
        return ([there] if not picture[0, -1].any() else [] for picture in pictures)

    def look(pictures):
        for picture in pictures:
            cuts.append(picture)
            yield parsed(STILL if picture.shape == (90, 90, 3) else [])

    finder = Finder(detect, look, PAD_SQUARE, CELEBAMASK)
    (found,) = finder.faces([image])
    assert (found.quarters, found.faces, found.whole) == (1, [Square(50, 10, 90)], None)
    ((face, view),) = found.parts
    np.testing.assert_array_equal(view, np.rot90(parsed(STILL)))
    np.testing.assert_array_equal(closeup.cut(image, face), np.rot90(cuts[-1]))
    (upright,) = finder.faces([np.rot90(image, -1)])
    assert (upright.quarters, upright.faces) == (0, [there])
    (nothing,) = finder.faces([image[1:]])
    assert (nothing.quarters, nothing.faces, nothing.whole.shape) == (0, [], (80, 80, len(CELEBAMASK)))


def test_a_face_counts_if_the_parser_sees_it_there():
    images = [np.full((200, 300, 3), value, np.uint8) for value in (1, 2, 3)]
    squares = {1: [Square(100, 50, 90), Square(0, 0, 80), Square(200, 100, 60)], 2: [Square(0, 0, 50)], 3: []}
    nearer = closeup.confirmed(squares[1][0], parsed(FACE), PAD_SQUARE, CELEBAMASK)
    looks = {(1, 90): FACE, (1, nearer.side): STILL, (1, 80): [], (1, 60): STILL, (2, 50): [], (2, 300): FACE}
    asked = []

    def look(pictures):
        for picture in pictures:
            asked.append((int(picture[0, 0, 0]), picture.shape[1]))
            yield parsed(looks.get(asked[-1], []))

    def detect(pictures):
        return (squares[int(picture[0, 0, 0])] for picture in pictures)

    first, second, third = Finder(detect, look, PAD_SQUARE, CELEBAMASK).faces(images)
    assert first.faces == [nearer, Square(200, 100, 60)]
    for (square, view), face in zip(first.parts, first.faces, strict=True):
        assert square == face
        np.testing.assert_array_equal(view, parsed(STILL))
    assert first.whole is None
    # Once more where the first face is; the whole of what has none.
    assert asked == [(1, 90), (1, 80), (1, 60), (2, 50), (1, nearer.side), (2, 300), (3, 300)]
    assert (second.parts, third.faces, third.parts) == ([], [], [])
    (filling,) = second.faces  # found in the whole picture, which it just fills
    assert 0.95 * 200 < filling.side < 1.5 * 200
    assert second.whole is not None
