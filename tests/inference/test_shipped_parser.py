"""The parser that comes with the package, on the public-domain portrait of scikit-image."""

import numpy as np
import pytest
import skimage.data

from l2s_jax import Parser, bundle

PLACES = {  # (x, y) in the portrait
    "hair": (226, 40),
    "r_brow": (203, 90),
    "l_brow": (251, 93),
    "r_eye": (203, 101),
    "l_eye": (248, 103),
    "nose": (224, 118),
    "mouth": (222, 145),
    "l_lip": (223, 152),
    "skin": (190, 130),
    "neck": (222, 178),
    "background": (400, 100),
}


@pytest.fixture(scope="module")
def parser():
    return Parser()


def test_it_is_small_and_says_whose_faces_it_learned_from():
    meta = bundle.read_meta(bundle.DEFAULT_PARSER)
    assert meta.name == "parser-small"
    assert meta.parameters < 1_821_085
    assert (bundle.DEFAULT_PARSER / bundle.TENSOR_FILE).stat().st_size <= 8 * 2**20
    assert "non-commercial" in meta.licence
    assert meta.provenance["command"] == "l2s train --config parser_small_longer"


def test_the_parts_of_a_strangers_photo_are_where_they_are(parser):
    parsing = parser(skimage.data.astronaut())
    found = {name: parsing.label_set.names[parsing.ids[y, x]] for name, (x, y) in PLACES.items()}
    assert found == {name: name for name in PLACES}
    (face,) = parsing.faces
    assert 170 < face.left + face.side / 2 < 280
    assert parsing.region("face").mean() < 0.06  # the suit is no face


def test_a_face_is_found_small_and_off_the_middle_too(parser):
    portrait = skimage.data.astronaut()
    scene = np.full((512, 640, 3), 128, np.uint8)
    scene[200:456, 380:636] = portrait[::2, ::2]
    parsing = parser(scene)
    (face,) = parsing.faces
    assert abs(face.left + face.side / 2 - (380 + 226 / 2)) < 20
    nose_x, nose_y = 380 + 224 // 2, 200 + 118 // 2
    assert parsing.mask("nose")[nose_y, nose_x]


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_portrait_that_was_scanned_lying_is_parsed_where_it_lies(parser, turn):
    upright = parser(skimage.data.astronaut())
    parsing = parser(np.rot90(skimage.data.astronaut(), turn // 90))
    assert (upright.turn, parsing.turn) == (0, turn)
    np.testing.assert_array_equal(np.rot90(parsing.ids, -turn // 90), upright.ids)


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_a_cup_a_cat_and_a_rocket_show_no_face_however_turned(parser, name):
    parsing = parser(getattr(skimage.data, name)())
    assert (parsing.faces, parsing.turn) == ((), 0)


def test_there_is_no_face_in_a_picture_without_one(parser):
    rows = np.linspace(0, 255, 200).astype(np.uint8)
    assert parser(np.repeat(rows[:, None, None], 200, axis=1).repeat(3, axis=2)).faces == ()


def scene(left: int | None) -> np.ndarray:
    """A grey frame with the small portrait at a place, or without it."""
    frame = np.full((288, 480, 3), 128, np.uint8)
    if left is not None:
        frame[16:272, left : left + 256] = skimage.data.astronaut()[::2, ::2]
    return frame


def nose(left: int) -> tuple[int, int]:
    return 16 + 118 // 2, left + 224 // 2


def test_a_face_of_a_film_is_found_followed_and_lost(parser):
    places = [None] * 8 + [100] * 16 + [100 + 3 * step for step in range(16)] + [None] * 16  # a stretch has 8
    film = list(parser.film([scene(left) for left in places], batch_size=1))
    faces = [parsing.faces for parsing in film]
    assert faces[:16] == [()] * 16  # it comes between two searches
    assert all(len(found) == 1 for found in faces[16:40])
    assert faces[16] == faces[23]
    for number in range(16, 40):
        assert film[number].mask("nose")[nose(places[number])], number
    assert faces[-8:] == [()] * 8


def test_a_film_without_crops_is_parsed_whole(parser):
    whole = Parser(parser.model, crop="none")
    (parsing,) = whole.film([scene(100)], batch_size=1)
    assert parsing.faces is None
