"""Scores of a model that wants stretched faces, against confusions counted by hand."""

import fake_system
import numpy as np
import pytest
from PIL import Image

from input_pipeline.labels import IGNORE
from input_pipeline.resize_rules import PAD_SQUARE, STRETCH
from input_pipeline.sources import open_source
from l2s_jax import evaluation

LABELS, SIDE = fake_system.LABELS, fake_system.SIDE


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Oblong photos in noisy palette colours, whose masks are off by some pixels."""
    root, rng = tmp_path_factory.mktemp("faces"), np.random.default_rng(0)
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
