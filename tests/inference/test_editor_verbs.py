"""The verbs of the Editor on pictures, paths and codes: one result for all three, and one sentence for each mistake."""

import jax
import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from l2s_jax import codes
from l2s_jax.inference.editor import STRUCTURE, STYLE, Editor
from l2s_jax.inference.model import load_model
from tests.helpers import fake_system

LABELS, SIDE = fake_system.LABELS, fake_system.SIDE


@pytest.fixture(scope="module")
def editors(tmp_path_factory):
    """With a style for each region, and with one for all."""
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        root = tmp_path_factory.mktemp("models")
        for codec in ("styled", "all"):
            fake_system.save(root / codec, codec=codec)
        yield Editor(load_model(root / "styled")), Editor(load_model(root / "all"))


@pytest.fixture(scope="module")
def editor(editors):
    return editors[0]


def face(shade: int) -> np.ndarray:
    """A picture of its own colours and of its own line of the hair."""
    ids = np.full((SIDE, SIDE), LABELS["skin"], np.uint8)
    ids[: 4 + shade] = LABELS["hair"]
    ids[:, :4] = LABELS["background"]
    return (0.9 * LABELS.palette[ids] + 2 * shade).astype(np.uint8)


def leaves(code):
    return np.concatenate([np.asarray(x).ravel() for x in jax.tree.leaves(code)])


def test_pictures_paths_and_codes_give_the_same(editor, tmp_path):
    a, b = face(0), face(2)
    Image.fromarray(b).save(tmp_path / "b.png")
    expected = leaves(editor.swap(editor.encode(a), editor.encode(b), ["hair"], style=True))
    for other in (b, tmp_path / "b.png", str(tmp_path / "b.png"), Image.fromarray(b)):
        np.testing.assert_array_equal(leaves(editor.swap(a, other, ["hair"], style=True)), expected)
        np.testing.assert_array_equal(leaves(editor.mix(a, {"hair": other}, style=True)), expected)


def test_donors_come_one_region_each(editor):
    a, b, c = (editor.encode(face(shade)) for shade in range(3))
    mixed = editor.mix(a, {"hair": b, "skin": c})
    by_hand = codes.swap_slices(codes.swap_slices(a, b, [LABELS["hair"]]), c, [LABELS["skin"]])
    np.testing.assert_array_equal(leaves(mixed), leaves(by_hand))


def test_corners_of_a_triangle_are_the_faces(editors):
    for editor in editors:
        faces = [editor.encode(face(shade)) for shade in range(3)]
        code, owners = editor.triangle(faces, 3)
        assert owners.shape == (6, len(editor.regions))
        rows = codes.split(code)
        for corner, own in zip((0, 3, 5), faces, strict=True):
            np.testing.assert_allclose(leaves(rows[corner]), leaves(own), atol=1e-5)


def test_two_faces_differ_in_their_own_direction(editor):
    a, b = face(0), face(2)
    for half in (STRUCTURE, STYLE):
        (found,) = editor.directions("hair", [a, b], 1, half)
        own = [np.asarray(getattr(editor.encode(x), half))[0, LABELS["hair"]] for x in (a, b)]
        expected = (own[1] - own[0]) / np.sqrt(2)
        largest = expected.ravel()[np.abs(expected).argmax()]
        np.testing.assert_allclose(found, expected * np.sign(largest), rtol=1e-4, atol=1e-4)


def test_seeds_are_all_the_chance_there_is(editor):
    one, same, other = (editor.random_directions(face(0), "hair", 2, STYLE, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert np.abs(one - other).max() > 1e-3
    noisy = [leaves(editor.perturb_style(face(0), ["hair"], 0.5, seed)) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(noisy[0], noisy[1])
    assert np.abs(noisy[0] - noisy[2]).max() > 1e-3


def test_an_edit_shows_its_region_in_both_faces(editor):
    """Skin that grows into the hair: its region is that of the new face; hair that shrinks: that of the old one."""
    target, source = face(2), face(0)
    code = editor.swap(target, source, ["skin"])
    grown, shrunk = (editor.show(target, code, [region])[0] for region in ("skin", "hair"))
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE) >= 4
    np.testing.assert_array_equal(grown.region, (rows >= 4) & columns)
    np.testing.assert_array_equal(shrunk.region, (rows < 6) & columns)
    assert grown.overlap == pytest.approx(10 / 12)
    assert shrunk.overlap == pytest.approx(4 / 6)
    assert grown.image is grown.after
    assert grown.change.outside < 0.5 < 10 < grown.change.inside
    pasted = editor.show(target, code, ["skin"], feather=0)[0]
    np.testing.assert_array_equal(pasted.image[:4], target[:4])
    np.testing.assert_array_equal(pasted.image[4:, 4:], pasted.after[4:, 4:])
    assert pasted.blend.seam.added == pasted.blend.seam.cut


def test_parts_are_laid_back_into_a_changed_picture(editors):
    original, changed = face(2), face(0)
    rows, columns = np.arange(SIDE)[:, None], np.arange(SIDE) >= 4
    for editor in editors:
        restored = editor.restore(original, changed, ["hair"], 0)
        assert restored.shape == changed.shape
        np.testing.assert_array_equal(restored[(rows >= 6) | ~columns], changed[(rows >= 6) | ~columns])
    hair = (rows < 4) & columns
    restored = editors[0].restore(original, changed, ["hair"], 0)  # with a style for each region its colours come, too
    np.testing.assert_allclose(restored[hair], original[hair], atol=2)


def test_a_walk_is_shown_face_by_face(editor):
    edits = editor.show(face(0), editor.interpolate(face(0), face(3), 3), editor.regions)
    assert len(edits) == 3
    np.testing.assert_array_equal(edits[0].after, edits[0].before)
    np.testing.assert_allclose(edits[2].after, face(3), atol=2)
    assert edits[0].change.outside is None


@pytest.mark.parametrize(
    ("verb", "sentence"),
    [
        (lambda e: e.swap(face(0), face(1), ["hiar"]), "no slice for the region 'hiar': did you mean 'hair'"),
        (lambda e: e.mix(face(0), {"ears": face(1)}), "no slice for the region 'ears': there are: background"),
        (lambda e: e.encode_face(face(0)[:, :4]), "finds no face in the picture: give a photo"),
        (lambda e: e.triangle([face(0), face(1)], 3), "three corners, and there are 2 faces"),
        (lambda e: e.triangle([face(0)] * 3, 1), "an edge of 1 is no edge"),
        (lambda e: e.perturb_style(face(0), ["hair"], 0.0, 0), "noise=0.0 must be a number above 0"),
        (lambda e: e.perturb_style(face(0), ["hair"], float("inf"), 0), "noise=inf must be a number above 0"),
        (lambda e: e.interpolate(face(0), face(1), 1), "steps=1: a walk has 2 faces or more"),
        (lambda e: e.directions("hair", [face(0)], 1, STYLE), "between 2 faces or more, not in 1"),
        (lambda e: e.directions("hair", [face(0), face(1)], 2, STYLE), "differ in 1 directions at most, not in 2"),
        (lambda e: e.directions("hair", [face(0)] * 3, 1, STYLE), "differ in fewer than 1 directions of 'hair'"),
        (lambda e: e.directions("hair", [face(0), face(1)], 1, "shape"), "'shape' is no half of a code"),
        (lambda e: e.random_directions(face(0), "hair", 0, STYLE, 0), "count=0: ask for 1 direction or more"),
        (lambda e: e.traverse(face(0), "hair", np.ones(3), 0, 3, STYLE), "reach=0 must be a number above 0"),
        (lambda e: e.traverse(face(0), "hair", np.ones(3), 1, 1, STYLE), "steps=1: a walk has 2 faces or more"),
        (lambda e: e.show(face(0), e.encode(face(0)), ["hair"], feather=-1), "feather=-1 must be a whole number"),
        (lambda e: e.show(face(0), e.encode(face(0)), ["hair"], feather=1.5), "feather=1.5 must be a whole number"),
    ],
)
def test_mistakes_are_one_sentence(editor, verb, sentence):
    with pytest.raises(UserError, match=sentence):
        verb(editor)


@pytest.mark.parametrize(
    "verb",
    [
        lambda e: e.swap(face(0), face(1), ["hair"], style=True),
        lambda e: e.mix(face(0), {"hair": face(1)}, style=True),
        lambda e: e.restyle(face(0), face(1), ["hair"]),
        lambda e: e.perturb_style(face(0), ["hair"], 1.0, 0),
        lambda e: e.directions("hair", [face(0), face(1)], 1, STYLE),
        lambda e: e.random_directions(face(0), "hair", 1, STYLE, 0),
        lambda e: e.traverse(face(0), "hair", np.ones(3), 1.0, 3, STYLE),
    ],
)
def test_one_style_for_all_is_no_style_of_a_region(editors, verb):
    with pytest.raises(UserError, match="has one style for all regions"):
        verb(editors[1])
