"""The IdentityEditor on a system whose answers are known: who goes where, walks, de-identification and sequences."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from l2s_jax import Editor
from l2s_jax.inference.editor import Editor as PartsEditor
from l2s_jax.inference.identity_editor import CODES, Halves, IdentityEditor, W, unit
from l2s_jax.inference.model import load_model
from l2s_jax.inference.surrogates import below, k_same
from tests.helpers import fake_system, halves_system
from tests.helpers.halves_system import person, picture, read

LOOKS = [np.array([0.5, -0.5, 0.25, 0]), np.array([-1.0, 1, 0, 0.75])]
GREY = 1 / 127.5  # a step of a picture's 255


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        halves_system.install(patch)
        root = tmp_path_factory.mktemp("models")
        halves_system.save(root / "halves")
        halves_system.save(root / "plain", generator=False)
        fake_system.save(root / "styled", codec="styled")
        fake_system.save(root / "parser", codec="none")
        yield root


@pytest.fixture(scope="module")
def editor(root):
    return Editor.load(root / "halves")


def assert_shows(image, identity, attributes, atol=GREY):
    who, what = read(image)
    np.testing.assert_allclose(who, identity, atol=atol)
    np.testing.assert_allclose(what, attributes, atol=atol)


def test_one_entry_opens_the_editor_of_the_models_kind(root, editor):
    assert type(editor) is IdentityEditor
    assert type(Editor.load(root / "styled")) is PartsEditor
    with pytest.raises(UserError, match="'fake', which has no slices to edit"):
        Editor.load(root / "parser")
    with pytest.raises(UserError, match="'fake', which does not tell the person from the rest"):
        IdentityEditor(load_model(root / "styled"))
    with pytest.raises(UserError, match="'halves', which has no slices to edit"):
        PartsEditor(load_model(root / "halves"))


def test_a_transfer_shows_the_person_of_one_with_the_rest_of_another(editor, tmp_path):
    a, b = picture(person(20), LOOKS[0]), picture(person(130, 2), LOOKS[1])
    code = editor.transfer(a, b)
    assert code.shape == (1, 8)
    (image,) = editor.render(code)
    assert image.dtype == np.uint8
    assert_shows(image, person(20), LOOKS[1])
    Image.fromarray(b).save(tmp_path / "b.png")
    for other in (tmp_path / "b.png", str(tmp_path / "b.png"), Image.fromarray(b), editor.encode(b)):
        np.testing.assert_array_equal(editor.transfer(a, other), code)
    cosines = editor.cosines(image, a, b)
    between = person(20) @ person(130, 2)
    np.testing.assert_allclose(cosines, [1, between, between], atol=0.02)
    assert cosines.to_attributes == pytest.approx(cosines.between, abs=0.02)


def test_a_table_crosses_all_persons_with_all_looks(editor):
    people = [person(0), person(60), person(90, 3)]
    faces = [picture(who, LOOKS[0]) for who in people]
    looks = [picture(person(45), what) for what in LOOKS]
    table = editor.render(editor.cross(faces, looks))
    assert table.shape == (3, 2, 8, 8, 3)
    for i, who in enumerate(people):
        for j, what in enumerate(LOOKS):
            assert_shows(table[i, j], who, what)


def test_walks_reach_both_ends_and_keep_what_is_fixed(editor):
    a, c = picture(person(0), LOOKS[0]), picture(person(90), LOOKS[1])
    for space in (W, CODES):
        walk = editor.interpolate((a, a), (c, a), 5, space)
        np.testing.assert_array_equal(walk[[0]], editor.transfer(a, a))
        np.testing.assert_array_equal(walk[[-1]], editor.transfer(c, a))
        np.testing.assert_allclose(walk[:, 4:], np.broadcast_to(walk[0, 4:], (5, 4)), atol=1e-6)
        looks = editor.interpolate((a, a), (a, c), 3, space)
        np.testing.assert_allclose(looks[:, :4], np.broadcast_to(looks[0, :4], (3, 4)), atol=1e-6)
        np.testing.assert_allclose(looks[1, 4:], (LOOKS[0] + LOOKS[1]) / 2, atol=GREY)
    # Half way between two right-angled identities: the chord of w, or the circle of identities.
    straight, round_ = (editor.interpolate((a, a), (c, c), 3, space)[1] for space in (W, CODES))
    np.testing.assert_allclose(straight[:4], [0.5, 0.5, 0, 0], atol=GREY)
    np.testing.assert_allclose(round_[:4], person(45), atol=GREY)


def test_a_surrogate_below_the_threshold_is_the_first_of_a_random_order(editor):
    pool = np.float32([person(10), person(80), person(85), person(170)])
    own = np.float32(person(0))
    chosen = {seed: below(pool, 0.2, seed)(own) for seed in range(30)}
    assert all(each @ own < 0.2 for each in chosen.values())
    assert {round(float(each @ own), 3) for each in chosen.values()} == {
        round(float(np.cos(np.deg2rad(degrees))), 3) for degrees in (80, 85, 170)
    }
    np.testing.assert_array_equal(below(pool, 0.2, 7)(own), chosen[7])
    face = picture(person(0), LOOKS[1])
    (image,) = editor.render(editor.deidentify(face, below(pool[[0, 2]], 0.2, 0)))
    assert_shows(image, person(85), LOOKS[1])


def test_k_same_is_the_mean_of_the_nearest_others(editor):
    pool = np.float32([person(0), person(10), person(-20), person(90), person(170)])
    face = picture(person(0), LOOKS[0])
    own = editor.encode(face).identity[0]
    assert own @ pool[0] > 0.999
    pool[0] = own  # the photo itself is in its gallery
    for k, degrees in ((2, (10, -20)), (3, (10, -20, 90))):
        (image,) = editor.render(editor.deidentify(face, k_same(pool, k)))
        mean = np.mean([person(each) for each in degrees], axis=0)
        assert_shows(image, mean / np.linalg.norm(mean), LOOKS[0])


def test_generated_faces_repeat_with_their_seed(editor):
    drawn = editor.sample(5, seed=3)
    assert (drawn.shape, drawn.dtype) == ((5, 8, 8, 3), np.uint8)
    np.testing.assert_array_equal(editor.sample(5, seed=3), drawn)
    assert np.abs(editor.sample(5, seed=4).astype(int) - drawn).max() > 10
    people = editor.encode_all(list(drawn)).identity
    for face, who in zip(drawn, people, strict=True):
        assert_shows(face, who, np.zeros(4), atol=2 * GREY)
    assert np.abs(np.diff(people, axis=0)).max(axis=1).min() > 0.05  # no face twice


def test_a_sequence_shows_one_person_with_the_looks_of_each_frame(editor):
    frames = [picture(person(degrees), what) for degrees, what in zip((-30, 0, 60), [*LOOKS, LOOKS[0]], strict=True)]
    given = editor.render(editor.sequence(frames, picture(person(120, 2), LOOKS[1])))
    mean = np.mean([person(degrees) for degrees in (-30, 0, 60)], axis=0)
    own = editor.render(editor.sequence(frames))
    for number, what in enumerate([*LOOKS, LOOKS[0]]):
        assert_shows(given[number], person(120, 2), what)
        assert_shows(own[number], mean / np.linalg.norm(mean), what, atol=1.5 * GREY)
    track = editor.encode_all(frames)
    np.testing.assert_array_equal(editor.sequence([track]), editor.sequence(frames))


def test_unit_rows():
    np.testing.assert_allclose(unit(np.float32([[3, 4], [0, 2]])), [[0.6, 0.8], [0, 1]], atol=1e-7)


POOL = np.float32([person(10), person(20)])
GREY_PICTURE = np.full((8, 8, 3), 127, np.uint8)


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (lambda e: e.interpolate(*opposite(), 1), "steps=1: a walk has 2 faces or more"),
        (lambda e: e.interpolate(*opposite(), 3, "z"), "'z' is no space to walk in: there are 'w'"),
        (lambda e: e.interpolate(*opposite(), 3, CODES), "the mean of opposite identities is nobody's"),
        (lambda e: e.sequence([pair[0] for pair in opposite()]), "the mean of opposite identities is nobody's"),
        (lambda e: below(POOL, 0.3, 0)(person(0)), r"none of 2 faces has a cosine below 0.3 .*the lowest is 0.940"),
        (lambda e: below(POOL[:1], 1.0, 0)(POOL[0]), "none of 1 faces has a cosine below 1 to"),
        (lambda e: k_same(POOL, 1), "k=1 would show one person of the gallery"),
        (lambda e: k_same(POOL, 3)(person(0)), "the gallery has 2 other faces, but the mean is of 3"),
        (lambda e: k_same(POOL, 2)(POOL[0]), "the gallery has 1 other faces, but the mean is of 2"),
        (lambda e: e.transfer("no.png", "no.png"), "'no.png' does not exist"),
        (lambda e: e.encode_face(GREY_PICTURE), "finds no identity in the picture: give a photo of one face"),
    ],
)
def test_mistakes_are_one_sentence(editor, verb, sentence):
    with pytest.raises(UserError, match=sentence):
        verb(editor)


def opposite():
    looks = np.zeros((1, 4), np.float32)
    a, b = (Halves(np.float32(person(degrees))[None], looks) for degrees in (0, 180))
    return (a, a), (b, b)


def test_without_a_generator_a_gallery_is_needed(root):
    with pytest.raises(UserError, match="cannot generate faces by itself: give a gallery of synthetic ones"):
        Editor.load(root / "plain").sample(2, 0)
