"""The model that comes with the package: it encodes, parses, swaps and renders at the first call."""

import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.labels import remap
from l2s_jax import Editor, Parser, bundle
from l2s_jax.bundle import search
from l2s_jax.inference.model import load_model


@pytest.fixture(scope="module")
def model():
    return load_model("l2s-synthetic")


@pytest.fixture(scope="module")
def faces(model):
    """Eight faces that nobody trained on, with their regions."""
    source = open_source("synthetic:8?test", size=model.config.image_size)
    table = remap(source.label_set, model.system.label_set)
    return [(face["image"], table[face["mask"]]) for face in source]


def test_it_is_small_free_and_says_what_it_saw(model):
    folder = search.SHIPPED / "l2s-synthetic"
    assert sum(file.stat().st_size for file in folder.iterdir()) <= 12e6
    assert (model.meta.name, model.meta.licence) == ("l2s-synthetic", "Apache-2.0")
    assert model.config.data.train.startswith("synthetic:")
    assert bundle.resolve("l2s-synthetic") == folder


def test_faces_are_parsed_and_come_back(model, faces):
    parser, editor = Parser(model), Editor(model)
    right = np.mean([np.mean(parser(image).ids == regions) for image, regions in faces])
    assert right > 0.93
    errors = [np.mean((editor.render(editor.encode(image))[0] - image.astype(float)) ** 2) for image, _ in faces]
    assert -10 * np.log10(np.mean(errors) / 255**2) > 22
    mean = np.mean([image for image, _ in faces], axis=0)
    assert np.mean(errors) < 0.2 * np.mean([np.mean((mean - image) ** 2) for image, _ in faces])


def test_a_swapped_part_changes_its_own_region(model, faces):
    editor = Editor(model)
    (image, regions), (other, others) = faces[:2]
    a, b = editor.encode(image), editor.encode(other)
    before, after = (editor.render(code)[0].astype(float) for code in (a, editor.swap(a, b, ["lips"], style=True)))
    change = np.abs(after - before).mean(-1)
    lips = model.system.label_set["lips"]
    inside = (regions == lips) | (others == lips)
    assert change[inside].mean() > 20 * change[~inside].mean()


def test_swapped_lips_lie_in_the_photo_without_a_seam(model, faces):
    editor = Editor(model)
    (image, _), (other, _) = faces[:2]
    photo = np.asarray(Image.fromarray(image).resize((320, 320), Image.Resampling.BICUBIC))[:, 40:-40]
    code = editor.swap(photo, other, ["lips"], style=True)
    (edit,) = editor.show(photo, code, ["lips"], feather=4)
    assert edit.image.shape == photo.shape
    assert edit.change.outside_over_inside < 0.05
    assert edit.blend.untouched > 0.9
    assert edit.blend.seam.added < edit.blend.seam.photo < edit.blend.seam.cut
