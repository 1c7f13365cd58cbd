"""Parser and Editor: any size in, ids at that size out, one program per batch shape, codes as plain values."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images.resize_rules import PAD_SQUARE, STRETCH
from l2s_jax import bundle
from l2s_jax.inference import processing
from l2s_jax.inference.editor import Editor
from l2s_jax.inference.model import load_model
from l2s_jax.inference.parser import Parser
from l2s_jax.types import Prediction
from tests.helpers import fake_system, published_faces

LABELS = fake_system.LABELS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    fake_system.install(patch)
    path = tmp_path_factory.mktemp("models") / "tiny"
    fake_system.save(path, codec="regions")
    yield load_model(path)
    patch.undo()


@pytest.fixture(scope="module")
def parser(model):
    return Parser(model)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (64, 64), (40, 96), (96, 40), (33, 47), (8, 8), (1, 1)])
def test_ids_have_the_size_and_the_content_of_the_picture(parser, height, width):
    image, ids = fake_system.painted(height, width)
    parsing = parser(image)
    assert parsing.ids.shape == ids.shape
    assert parsing.ids.dtype == np.uint8
    assert parsing.confidence.dtype == np.float32
    # A pixel of the network covers max(H, W) / SIDE of the picture: only borders may differ, by that much.
    reach = int(np.ceil(max(height, width) / fake_system.SIDE))
    columns = np.abs(np.arange(width) - width // 4 + 0.5) > reach
    rows = np.abs(np.arange(height) - height // 2 + 0.5) > reach
    inner = rows[:, None] & columns
    np.testing.assert_array_equal(parsing.ids[inner], ids[inner])
    assert inner.mean() > 0.5 or height < 16


@pytest.mark.parametrize("name", published_faces.PUBLISHED)
def test_left_is_the_subjects_whatever_the_data_set_calls_left(model, tmp_path, name):
    """`model` is here for the system that it registers."""
    label_set, face = labels.get(name), published_faces.draw(name)
    fake_system.save(tmp_path / name, codec="none", label_set=label_set, side=published_faces.SIDE)
    parsing = Parser.load(tmp_path / name)(label_set.palette[face])
    for part, (on_the_left, on_the_right) in published_faces.PUBLISHED[name].items():
        np.testing.assert_array_equal(parsing.mask(f"r_{part}"), face == on_the_left)
        np.testing.assert_array_equal(parsing.mask(f"l_{part}"), face == on_the_right)


def test_the_network_size_passes_through_exactly(parser):
    image, ids = fake_system.painted(fake_system.SIDE, fake_system.SIDE)
    parsing = parser(image)
    np.testing.assert_array_equal(parsing.ids, ids)
    square = processing.to_square({"image": image}, fake_system.SIDE, parser.resize)["image"]
    logits = parser.predict(parser.variables, square[None]).logits
    np.testing.assert_allclose(parsing.confidence, jax.nn.softmax(logits).max(-1)[0], rtol=1e-6)


def test_array_pil_and_path_agree(parser, tmp_path):
    image, _ = fake_system.painted(20, 30)
    Image.fromarray(image).save(tmp_path / "a.png")
    for same in (Image.fromarray(image), tmp_path / "a.png", str(tmp_path / "a.png")):
        np.testing.assert_array_equal(parser(same).ids, parser(image).ids)


def test_exif_rotation_is_applied(parser, tmp_path):
    image, _ = fake_system.painted(32, 32)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: shown rotated by 90 degrees clockwise
    Image.fromarray(np.rot90(image)).save(tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(parser(tmp_path / "a.png").ids, parser(image).ids)


def test_batches_of_any_length_equal_single_pictures_and_compile_once(model):
    parser = Parser(model)
    pictures = [fake_system.painted(h, w)[0] for h, w in [(16, 16), (20, 31), (50, 20), (9, 40), (64, 64)]]
    single = [parser(p) for p in pictures]
    batched = list(parser.batch(iter(pictures), batch_size=2))
    assert len(batched) == 5
    for a, b in zip(single, batched, strict=True):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_allclose(a.confidence, b.confidence, rtol=1e-5)
    assert parser._forward._cache_size() == 2  # batch 1 and batch 2, not one for every picture


def test_areas_sum_to_one_and_masks_partition(parser):
    parsing = parser(fake_system.painted(40, 64)[0])
    areas = parsing.areas()
    assert list(areas) == list(LABELS.names)
    assert sum(areas.values()) == pytest.approx(1)
    assert areas["background"] == pytest.approx(0.25, abs=0.02)
    assert sum(parsing.mask(name).astype(int) for name in LABELS.names).tolist() == np.ones((40, 64)).tolist()
    assert parsing.confidences()["nose"] is None
    assert parsing.confidences()["hair"] > 0.9
    with pytest.raises(KeyError, match="hair"):
        parsing.mask("hiar")


def test_pictures_of_a_parsing(parser):
    image, _ = fake_system.painted(24, 24)
    parsing = parser(image)
    picture = parsing.palette_image()
    assert picture.mode == "P"
    np.testing.assert_array_equal(np.asarray(picture), parsing.ids)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), LABELS.palette[parsing.ids])
    overlay = np.asarray(parsing.overlay(image))
    background = parsing.mask("background")
    np.testing.assert_array_equal(overlay[background], image[background])
    with pytest.raises(UserError, match="not the same photo"):
        parsing.overlay(image[:-1])


@pytest.mark.parametrize("bad", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_other_arrays_are_refused(parser, bad):
    with pytest.raises(UserError, match=r"must be uint8 \[H, W, 3\]"):
        parser(bad)


@pytest.mark.parametrize("resize", ["pad-square-bilinear", "stretch-bicubic"])
def test_landmarks_arrive_where_they_lie_in_the_picture(model, resize):
    """A parser that answers `nose` at the pixel of the square that holds the landmark, else `skin`."""
    side, nose = fake_system.SIDE, LABELS["nose"]

    def predict(variables, image, landmarks=None):
        y, x = jnp.mgrid[:side, :side]
        logits = jnp.zeros((*image.shape[:3], len(LABELS))).at[..., LABELS["skin"]].set(5.0)
        if landmarks is None:
            return Prediction(logits)
        at = jnp.floor(landmarks)[:, 0, :, None, None]
        here = (x[None] == at[:, 0]) & (y[None] == at[:, 1])
        return Prediction(logits.at[..., nose].add(jnp.where(here, 10.0, 0.0)))

    meta = dataclasses.replace(model.meta, preprocessing=bundle.Preprocessing(side, resize=resize))
    parser = Parser(dataclasses.replace(model, meta=meta, system=dataclasses.replace(model.system, predict=predict)))
    pictures = [np.zeros((shape), np.uint8) for shape in [(64, 128, 3), (128, 64, 3), (64, 64, 3)]]
    points = [np.array([[0.78 * p.shape[1], 0.28 * p.shape[0]]]) for p in pictures]
    for picture, point, parsing in zip(pictures, points, parser.batch(pictures, 2, iter(points)), strict=True):
        rows, columns = np.nonzero(parsing.ids == nose)
        reach = max(picture.shape) / side
        assert rows.size
        np.testing.assert_allclose((columns.mean() + 0.5, rows.mean() + 0.5), point[0], atol=reach)
        np.testing.assert_array_equal(parser(picture, point).ids, parsing.ids)
        assert (parser(picture).ids == LABELS["skin"]).all()


def test_landmarks_that_fit_no_picture_are_refused(parser):
    picture, five, more = np.zeros((8, 8, 3), np.uint8), np.ones((5, 2)), np.ones((68, 2))
    for images, landmarks, sentence in [
        ([picture], [five, five], "more pictures than landmarks, or the reverse"),
        ([picture, picture], [five], "more pictures than landmarks, or the reverse"),
        ([picture, picture], [more, five], "come with 5 and 68 landmarks"),
        ([picture], [[[1, 2], [3]]], "these rows differ in length"),
        ([picture], [None], r"landmarks must be finite numbers \[K, 2\]"),
    ]:
        with pytest.raises(UserError, match=sentence):
            list(parser.batch(images, 2, landmarks))


def test_small_pieces_take_the_class_around_them(model):
    image, ids = fake_system.painted(fake_system.SIDE, fake_system.SIDE)
    image[12, 8:11], ids[12, 8:11] = LABELS.palette[LABELS["nose"]], LABELS["nose"]
    for clean, expected in [(0, ids), (3, ids), (4, fake_system.painted(*ids.shape)[1])]:
        parsing = Parser(model, clean)(image)
        np.testing.assert_array_equal(parsing.ids, expected)
    assert parsing.confidence[12, 9] < 0.5 < parsing.confidence[12, 7]


@pytest.mark.parametrize("clean", [-1, 1.5, "3", True, None])
def test_other_sizes_of_pieces_are_refused(model, clean):
    with pytest.raises(UserError, match="must be a whole number of pixels, 0 or more"):
        Parser(model, clean)


@pytest.mark.parametrize("shape", [(10, 1000), (1000, 10), (7, 7), (1, 3000)])
def test_the_box_lies_inside_the_square(shape):
    box = PAD_SQUARE.box(*shape, 32)
    assert 0 <= box.left < box.right <= 32
    assert 0 <= box.top < box.bottom <= 32
    assert max(box.right - box.left, box.bottom - box.top) == 32


def test_padding_repeats_the_border():
    image, _ = fake_system.painted(16, 8)
    square = processing.to_square({"image": image}, 16, PAD_SQUARE)["image"]
    np.testing.assert_array_equal(square[:, :4], np.repeat(square[:, 4:5], 4, 1))
    np.testing.assert_allclose(square[:, 4:12], image / 127.5 - 1, atol=1e-6)


def test_the_editor_keeps_to_the_rule_of_its_model(model):
    image, _ = fake_system.painted(16, 40)
    image[:4] = 255  # padding repeats it
    meta = dataclasses.replace(model.meta, preprocessing=bundle.Preprocessing(16, resize="stretch-bicubic"))
    square = processing.to_square({"image": image}, 16, STRETCH)["image"]
    style = Editor(dataclasses.replace(model, meta=meta)).encode(image).style
    np.testing.assert_allclose(style[0], square.mean((0, 1)), atol=1e-5)
    assert np.abs(style - Editor(model).encode(image).style).max() > 1e-3


def test_editor_swaps_only_the_named_regions(model):
    editor = Editor(model)
    a, b = (editor.encode(fake_system.painted(*size)[0]) for size in ((16, 16), (30, 16)))
    mixed = editor.swap(a, b, ["hair", "eyes"])
    assert editor.regions == LABELS.names[1:]  # the fake system has no background slice
    swapped = [LABELS["hair"] - 1, LABELS["eyes"] - 1]
    kept = [k for k in range(len(editor.regions)) if k not in swapped]
    np.testing.assert_array_equal(mixed.structure[:, swapped], b.structure[:, swapped])
    np.testing.assert_array_equal(mixed.structure[:, kept], a.structure[:, kept])
    np.testing.assert_array_equal(mixed.style, a.style)
    np.testing.assert_array_equal(editor.swap(a, b, []).structure, a.structure)
    for name, hint in [("hairs", "did you mean 'hair'"), ("background", "there are: hair, skin")]:
        with pytest.raises(UserError, match=f"no slice for the region '{name}': {hint}"):
            editor.swap(a, b, [name])


def test_editor_swaps_a_regions_own_style_on_request(model):
    editor = Editor(model)
    codes = [editor.encode(fake_system.painted(*size)[0]) for size in ((16, 16), (30, 16))]
    with pytest.raises(UserError, match="has one style for all regions"):
        editor.swap(*codes, ["hair"], style=True)
    slices = len(editor.regions)
    a, b = (code.replace(style=jnp.repeat(code.style[:, None], slices, axis=1)) for code in codes)
    hair = editor.regions.index("hair")
    mixed = editor.swap(a, b, ["hair"], style=True)
    np.testing.assert_array_equal(mixed.style[:, hair], b.style[:, hair])
    np.testing.assert_array_equal(np.delete(mixed.style, hair, axis=1), np.delete(a.style, hair, axis=1))
    np.testing.assert_array_equal(editor.swap(a, b, ["hair"]).style, a.style)


def test_a_parser_takes_the_way_of_segmenting_that_is_named(model):
    image, _ = fake_system.painted(16, 16)
    other = model.system.predict

    def nothing(variables, image, landmarks=None):
        return Prediction(0.0 * other(variables, image).logits)

    ways = {"network": other, "nothing": nothing}
    model = dataclasses.replace(model, system=dataclasses.replace(model.system, segmenters=ways))
    assert not Parser(model, by="nothing")(image).ids.any()
    np.testing.assert_array_equal(Parser(model, by="network")(image).ids, Parser(model)(image).ids)
    with pytest.raises(UserError, match="does not segment by 'light': it has: network, nothing"):
        Parser(model, by="light")
    with pytest.raises(UserError, match="it has one way only"):
        Parser(dataclasses.replace(model, system=dataclasses.replace(model.system, segmenters={})), by="light")


def test_editor_decodes_and_renders(model):
    editor = Editor(model)
    image, ids = fake_system.painted(16, 16)
    code = editor.encode(image)
    np.testing.assert_array_equal(editor.decode(code).logits.argmax(-1)[0], ids)
    picture = editor.render(code)
    assert (picture.shape, picture.dtype) == ((1, 16, 16, 3), np.uint8)
    np.testing.assert_allclose(picture[0, 0, 0], image.mean((0, 1)), atol=1)


def test_a_pure_parser_has_no_editor(model, tmp_path, monkeypatch):
    fake_system.install(monkeypatch)
    fake_system.save(tmp_path / "parser", codec="none")
    with pytest.raises(UserError, match="no slices to edit"):
        Editor.load(tmp_path / "parser")
