"""Scores of a model that wants stretched faces, against confusions counted by hand; and what stands beside scores."""

import jax
import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.images.resize_rules import PAD_SQUARE, STRETCH
from input_pipeline.labels import IGNORE
from input_pipeline.selection import Subset
from l2s_jax import codec_scores, evaluation, systems
from l2s_jax.metrics import realism
from tests.helpers import fake_system, tiny_l2s

LABELS, SIDE = fake_system.LABELS, fake_system.SIDE


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Oblong photos in noisy palette colours, none equally near to two, whose masks are off by some pixels."""
    root, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(2)
    (root / "labels.json").write_text(f'{{"label_set": "{LABELS.name}"}}')
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for i, (height, width) in enumerate([(20, 50), (40, 24), (30, 30)]):
        image, ids = fake_system.painted(height, width)
        noisy = (image + rng.normal(0, 60, image.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / "images" / f"{i}.png")
        Image.fromarray(np.roll(ids, 3, axis=1)).save(root / "masks" / f"{i}.png")
    return open_source(f"folder:{root}")


def nearest_colours(image):
    """What the fake network finds: the palette's nearest colour."""
    distance = ((image[..., None, :].astype(float) - LABELS.palette[: len(LABELS)]) ** 2).sum(-1)
    return distance.argmin(-1)


def counted(truth, found):
    counts = np.zeros((len(LABELS), len(LABELS)), np.int64)
    np.add.at(counts, (truth[truth != IGNORE], found[truth != IGNORE]), 1)
    return counts


def measured(faces, **options):
    system = fake_system.build(fake_system.fake_config("none"))
    options = {"image_size": SIDE, "batch_size": 2, "seed": 0} | options
    return evaluation.evaluate(system, fake_system.variables(), faces, **options)


def test_stretched_faces_are_scored_as_published(faces):
    result = measured(faces, resize=STRETCH)
    size = SIDE, SIDE
    images = [np.asarray(Image.fromarray(face["image"]).resize(size, Image.Resampling.BICUBIC)) for face in faces]
    truths = [np.asarray(Image.fromarray(face["mask"]).resize(size, Image.Resampling.NEAREST)) for face in faces]
    expected = sum(counted(truth, nearest_colours(image)) for truth, image in zip(truths, images, strict=True))
    np.testing.assert_array_equal(result.arrays["confusion"], expected)
    assert expected.sum() == 3 * SIDE * SIDE  # no pixel of the square is beyond the photo


def test_native_scores_count_every_pixel_of_the_photos(faces):
    pixels = sum(face["mask"].size for face in faces)
    for rule in (STRETCH, PAD_SQUARE):
        accuracy = measured(faces, resize=rule).metrics["segmentation"]["native"]["pixel_accuracy"]
        assert (accuracy * pixels) == pytest.approx(round(accuracy * pixels), abs=1e-6)
        assert 0.7 < accuracy < 1


def test_padding_stays_the_rule_of_trainings(faces):
    padded, unsaid = measured(faces, resize=PAD_SQUARE), measured(faces)
    np.testing.assert_array_equal(padded.arrays["confusion"], unsaid.arrays["confusion"])
    assert padded.arrays["confusion"].sum() < 3 * SIDE * SIDE


def test_masks_have_baselines_beside_them(faces):
    """Three faces of one layout, shrunk: the most frequent class at each pixel, counted by hand."""
    result = measured(faces, resize=STRETCH)
    size = SIDE, SIDE
    truths = np.stack([Image.fromarray(face["mask"]).resize(size, Image.Resampling.NEAREST) for face in faces])
    frequent = np.stack([(truths == k).sum(0) for k in range(len(LABELS))]).argmax(0)
    beside = result.metrics["segmentation"]["baselines"]
    assert beside["mean_mask"]["pixel_accuracy"] == pytest.approx((truths == frequent).mean())
    hair = LABELS["hair"]
    assert beside["chance"]["per_class"]["hair"]["f1"] == pytest.approx((truths == hair).mean())


def test_structure_is_scored_face_by_face(faces):
    """The scores of all faces in batches of two, the last one padded, are the means of those of single faces."""
    together = measured(faces, resize=STRETCH).metrics["segmentation"]
    single = [measured(Subset(faces, i, i + 1), resize=STRETCH).metrics["segmentation"] for i in range(3)]
    off = [scores["components_off"]["total"] for scores in single]
    assert off == [round(value) for value in off]  # of one face a number of components
    assert max(off) > 0
    assert together["components_off"]["total"] == pytest.approx(np.mean(off))
    for name in LABELS.names:
        values = [scores["components_off"]["per_class"][name] for scores in single]
        assert together["components_off"]["per_class"][name] == pytest.approx(np.mean(values))
        known = [x for x in (scores["boundary_f1"]["per_class"][name] for scores in single) if x is not None]
        assert together["boundary_f1"]["per_class"][name] == (pytest.approx(np.mean(known)) if known else None)
    assert 0 < together["boundary_f1"]["mean"] < 1


@pytest.fixture(scope="module")
def reconstructed():
    """Ten rendered faces, which a codec paints in their mean colour, in batches of four, and their evaluation."""
    system = fake_system.build(fake_system.fake_config())
    source = open_source("synthetic:10?test", size=SIDE)
    options = {"image_size": SIDE, "batch_size": 4, "seed": 3, "panels": 0}
    images = np.stack([face["image"] for face in source])
    return images, evaluation.evaluate(system, fake_system.variables(), source, **options)


def test_reconstructions_have_the_mean_face_beside_them(reconstructed):
    images, found = reconstructed
    beside = found.metrics["reconstruction"]["mean_face"]
    errors = images / 255.0 - (images / 255.0).mean(0)
    assert beside["examples"] == 10
    assert beside["psnr"] == pytest.approx(np.mean([-10 * np.log10(np.mean(error**2)) for error in errors]), abs=0.01)
    assert beside["l1"] == pytest.approx(2 * np.abs(errors).mean(), rel=1e-3)
    assert set(beside["inside"]) == set(LABELS.names)


def test_realism_is_that_of_all_faces_whatever_the_batches(reconstructed):
    """The last batch is padded."""
    images, found = reconstructed
    images = images.astype(np.float32) / 127.5 - 1
    painted = np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape)
    features = jax.jit(realism.PYRAMID.of)
    photos, decodes = (np.asarray(features(x)) for x in (images, painted))
    expected = realism.summary("pyramid", photos, {"reconstructions": decodes})
    for name in ("photos", "reconstructions"):
        assert found.metrics["realism"][name] == pytest.approx(expected[name], rel=1e-3)


def test_a_codec_that_cannot_forget_has_no_random_generator(reconstructed):
    found = reconstructed[1].metrics["disentanglement"]
    assert not {"random_generator", "without_matte"} & found.keys()


@pytest.fixture(scope="module")
def sliced():
    """Two evaluations of Latents2Segments as it is drawn, on ten rendered faces in batches of two."""
    system = systems.build(tiny_l2s.quiet())
    variables = system.variables(jax.jit(system.init)(jax.random.key(0)))
    source = open_source("synthetic:10?test", size=tiny_l2s.SIZE)
    options = {"image_size": tiny_l2s.SIZE, "batch_size": 2, "seed": 3, "panels": 2}
    return [evaluation.evaluate(system, variables, source, **options) for _ in range(2)]


def test_slices_have_a_random_generator_and_no_matte_beside_them(sliced):
    found = sliced[0].metrics["disentanglement"]
    chance, random = found["chance"], found["random_generator"]
    assert chance == pytest.approx(1 / 6)
    assert random["examples"] == 4  # batches 0 and 4 of five
    for scores in (found, found["without_matte"], random, random["without_matte"]):
        assert 0 <= scores["macro_acs"] < 0.5  # nothing is trained here: dead slices and chance
        assert 0 <= scores["swap"]["macro_acs"] < 0.5
    assert random["acs"] != found["acs"]
    assert found["untrained_macro_acs"] == random["macro_acs"]
    assert found["ungated_macro_acs"] == found["without_matte"]["macro_acs"]
    np.testing.assert_array_equal(sliced[0].arrays["effect"].shape, (6, 6))
    np.testing.assert_array_equal(sliced[0].arrays["effect_unmatted"].shape, (6, 6))


def test_slices_are_probed_and_swapped(sliced):
    metrics = sliced[0].metrics
    code = metrics["disentanglement"]
    assert set(code["probe"]["slices"]) == set(code["slices"])
    assert code["probe_leakage"] == code["probe"]["leakage"]
    assert abs(code["hsic_null"]) < 0.5  # of ten faces, without bias
    assert set(code["dependence"]) == {"own_frame", "with_place"}
    assert set(code["joint_dependence"]) == {"total_correlation", "dhsic"}
    assert code["joint_dependence"]["total_correlation"]["value"] > 0
    assert set(code["colour_probe"]["slices"]) == set(code["slices"])
    assert metrics["swap"]["outside_over_inside"] >= 0
    assert metrics["swap"]["seam"] > 0
    assert set(code["levels"]) == set(code["slices"])
    ways = metrics["segmentation_by"]
    assert set(ways) == {"decodes", "light", "painter"}
    assert ways["decodes"]["mean_f1"] == metrics["segmentation"]["mean_f1"]
    assert ways["light"]["mean_f1"] != ways["decodes"]["mean_f1"]


def test_effects_are_told_in_grey_levels(sliced):
    code = sliced[0].metrics["disentanglement"]
    faces = open_source("synthetic:10?test", size=tiny_l2s.SIZE)
    skin = np.concatenate([face["image"][face["mask"] == faces.label_set["skin"]] for face in faces])
    assert code["levels"]["skin"]["a_deviation"] == pytest.approx(
        127.5 * np.sqrt(code["total"]["skin"] / 3) / codec_scores.NOISE
    )
    assert code["levels"]["skin"]["photos"] == pytest.approx(skin.std(axis=0).mean(), rel=0.1)  # skin of 19 classes


def test_baselines_are_the_same_every_time(sliced):
    first, second = (result.metrics for result in sliced)
    assert first == second
