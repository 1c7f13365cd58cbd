"""What is made of a parsing: named masks and probabilities, pictures, annotations of other tools, other label sets."""

from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, LAPA
from l2s_jax.inference.model import load_model
from l2s_jax.inference.parser import Parser
from l2s_jax.inference.parsing import Parsing
from tests.helpers import fake_system

LABELS = fake_system.LABELS
SIDE = fake_system.SIDE


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        path = tmp_path_factory.mktemp("models") / "tiny"
        fake_system.save(path)
        yield load_model(path)


@pytest.fixture(scope="module")
def parser(model):
    return Parser(model)


@pytest.fixture(scope="module")
def parsing(parser) -> Parsing:
    return parser(fake_system.painted(SIDE, SIDE)[0])


def test_several_pictures_in_every_form(parser, tmp_path):
    pictures = np.stack([fake_system.painted(20, 30)[0]] * 3)
    pictures[1] = pictures[1, ::-1]
    expected = [parser(picture).ids for picture in pictures]
    Image.fromarray(pictures[0]).save(tmp_path / "0.png")
    mixed = [tmp_path / "0.png", Image.fromarray(pictures[1]), jnp.asarray(pictures[2])]
    for several in (pictures, jnp.asarray(pictures), list(pictures), mixed):
        found = parser(several)
        assert isinstance(found, list)
        np.testing.assert_array_equal([each.ids for each in found], expected)
    np.testing.assert_array_equal(parser(jnp.asarray(pictures[1])).ids, expected[1])
    assert parser([]) == []
    points = np.ones((3, 5, 2))
    np.testing.assert_array_equal([each.ids for each in parser(pictures, points)], expected)


@pytest.mark.parametrize("bad", [None, 5, np.zeros((2, 4, 4, 3)), [np.zeros((4, 4), np.uint8)]])
def test_what_is_no_picture_is_one_sentence(parser, bad):
    with pytest.raises(UserError, match=r"must be uint8 \[H, W, 3\]"):
        parser(bad)


def test_threads_share_a_parser(parser):
    sizes = [(16, 16), (20, 31), (50, 20), (64, 64)] * 8
    pictures = [fake_system.painted(*size)[0] for size in sizes]
    alone = [parser(picture) for picture in pictures]
    fresh = Parser(parser.model)  # it compiles while all ask
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(fresh, pictures))
    for a, b in zip(alone, together, strict=True):
        np.testing.assert_array_equal(a.ids, b.ids)
        np.testing.assert_array_equal(a.confidence, b.confidence)


def test_regions_are_unions_and_their_probabilities_sums(parsing):
    np.testing.assert_array_equal(parsing.region("hair"), parsing.mask("hair"))
    np.testing.assert_array_equal(parsing.region("face"), parsing.mask("lips"))
    np.testing.assert_array_equal(parsing.region("hair", "lips"), parsing.ids > 0)
    assert not parsing.region("nose", "eyes").any()
    every = [parsing.probabilities(name) for name in LABELS.names]
    np.testing.assert_allclose(np.sum(every, axis=0), 1, atol=1e-5)
    np.testing.assert_allclose(np.max(every, axis=0), parsing.confidence)
    np.testing.assert_allclose(parsing.probabilities("hair", "lips"), every[LABELS["hair"]] + every[LABELS["lips"]])
    np.testing.assert_allclose(parsing.probabilities(*LABELS.names), 1, atol=1e-5)
    assert parsing.probabilities("hair").dtype == np.float32
    with pytest.raises(UserError, match="did you mean 'hair'"):
        parsing.region("hiar")


def test_the_overlay_needs_no_second_look_at_the_photo(parsing):
    np.testing.assert_array_equal(parsing.overlay(), parsing.overlay(parsing.image))


def test_cutouts(parsing):
    image, hair = parsing.image, parsing.region("hair")
    cut = np.asarray(parsing.cutout("hair"))
    np.testing.assert_array_equal(cut[..., 3], np.where(hair, 255, 0))
    np.testing.assert_array_equal(cut[hair][:, :3], image[hair])
    assert not cut[~hair].any()  # what is cut away is not merely hidden
    whole = np.asarray(parsing.cutout())
    np.testing.assert_array_equal(whole[..., 3] == 255, parsing.ids > 0)
    laid = np.asarray(parsing.cutout("hair", background=(0, 200, 10)))
    np.testing.assert_array_equal(laid[hair], image[hair])
    assert (laid[~hair] == (0, 200, 10)).all()
    soft = np.asarray(parsing.cutout("hair", soft=True))[..., 3]
    np.testing.assert_array_equal(soft, np.rint(255 * parsing.probabilities("hair")))


def decoded(segmentation) -> np.ndarray:
    """A run-length code as the reference implementation reads it."""
    counts, (height, width) = segmentation["counts"], segmentation["size"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    return flat.reshape(width, height).T.astype(bool)


def test_coco_and_supervision(parsing):
    content = parsing.to_coco(7, "a.png")
    assert content["images"] == [{"id": 7, "file_name": "a.png", "width": SIDE, "height": SIDE}]
    assert [entry["name"] for entry in content["categories"]] == list(LABELS.names[1:])
    arrays = parsing.to_detections()
    assert [LABELS.names[k] for k in arrays["class_id"]] == ["hair", "lips"]
    for number, entry in enumerate(content["annotations"]):
        mask = parsing.ids == entry["category_id"]
        np.testing.assert_array_equal(decoded(entry["segmentation"]), mask)
        np.testing.assert_array_equal(arrays["mask"][number], mask)
        left, top, width, height = entry["bbox"]
        assert mask[top : top + height, left : left + width].all()  # both are rectangles here
        assert entry["area"] == width * height == mask.sum()
        np.testing.assert_array_equal(arrays["xyxy"][number], (left, top, left + width, top + height))
        assert entry["score"] == pytest.approx(parsing.confidence[mask].mean()) == arrays["confidence"][number]
    assert {entry["image_id"] for entry in content["annotations"]} == {7}


def test_annotations_of_one_class_everywhere_and_of_none(parser):
    hair = parser(np.broadcast_to(LABELS.palette[LABELS["hair"]], (4, 6, 3)))
    (entry,) = hair.to_coco()["annotations"]
    assert (entry["bbox"], entry["segmentation"]["counts"]) == ([0, 0, 6, 4], [0, 24])
    nothing = parser(np.broadcast_to(LABELS.palette[0], (4, 6, 3)))
    assert nothing.to_coco()["annotations"] == []
    shapes = {name: array.shape for name, array in nothing.to_detections().items()}
    assert shapes == {"xyxy": (0, 4), "mask": (0, 4, 6), "class_id": (0,), "confidence": (0,)}


def test_another_label_set_gets_the_sum_of_the_probabilities(model, tmp_path):
    fake_system.save(tmp_path / "fine", label_set=CELEBAMASK)
    fine = Parser.load(tmp_path / "fine")
    image = np.broadcast_to(CELEBAMASK.palette[CELEBAMASK["r_eye"]], (8, 8, 3))
    lapa, regions = (Parser(fine.model, label_set=name) for name in ("lapa", "l2s_regions"))
    assert lapa.label_set == LAPA
    assert lapa(image).region("r_eye").all()
    assert regions(image).mask("eyes").all()
    square = np.random.default_rng(0).uniform(-1, 1, (2, SIDE, SIDE, 3)).astype(np.float32)
    probabilities, merged = fine.probabilities(square), regions.probabilities(square)
    lips = probabilities[..., list(CELEBAMASK.region("lips"))].sum(-1)
    np.testing.assert_allclose(merged[..., regions.label_set["lips"]], lips, atol=1e-6)
    np.testing.assert_allclose(merged.sum(-1), 1, atol=1e-5)
    with pytest.raises(UserError, match="cannot be mapped to 'celebamask'"):
        Parser(model, label_set="celebamask")
    with pytest.raises(UserError, match=r"unknown label set 'lapa12' .*did you mean 'lapa'"):
        Parser(model, label_set="lapa12")
