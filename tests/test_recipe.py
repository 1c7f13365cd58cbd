"""What a config makes of its data: mixtures, balance and framing for training, framing alone for what is scored."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline import datasets
from input_pipeline.audit.sides import FixedSides
from input_pipeline.errors import UserError
from input_pipeline.images.framing import FramedSource
from input_pipeline.labels import CELEBAMASK
from input_pipeline.loading.views import RepeatFactorSource
from l2s_jax import config as configs
from l2s_jax import recipe, systems
from tests.helpers.fake_system import fake_config


@pytest.fixture
def folder(tmp_path):
    """Four faces; only one of them wears a hat."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(4):
        mask = np.full((40, 40), CELEBAMASK["background"], np.uint8)
        mask[10:30, 10:30] = CELEBAMASK["skin"]
        mask[:4] = CELEBAMASK["hat"] if i == 3 else CELEBAMASK["background"]
        Image.fromarray(mask).save(tmp_path / "masks" / f"{i}.png")
        Image.new("RGB", (40, 40)).save(tmp_path / "images" / f"{i}.png")
    return f"folder:{tmp_path}"


def config(train, **data):
    conf = fake_config()
    conf.data.train = train
    conf.data.update(data)
    return conf


def test_a_plain_spec_is_one_part_untouched(folder):
    (part,) = recipe.training_parts(config(folder))
    assert part.weight == 1
    assert len(part.source) == 4
    assert not isinstance(part.source, (FramedSource, RepeatFactorSource))


def test_training_data_are_mixed_balanced_and_framed(folder):
    conf = config(f"0.75*{folder} + 0.25*synthetic:8", balance=1.0, framing="face")
    faces, rendered = recipe.training_parts(conf)
    assert (faces.weight, rendered.weight) == (0.75, 0.25)
    assert len(faces.source) == 5  # sqrt(1 / 0.25): the hat comes twice
    assert faces.source[0]["image"].shape[0] < 40
    assert rendered.source[0]["image"].shape[0] == rendered.source[0]["image"].shape[1]


def test_faces_that_lack_a_required_class_are_left_out(folder):
    conf = config(folder, require=("skin",), batch_size=4)
    assert len(recipe.training_parts(conf)[0].source) == 4
    conf = config(f"{folder} + {folder}", require=("skin", "hat"), batch_size=2)
    conf.label_set = "celebamask"
    assert [part.source.names for part in recipe.training_parts(conf)] == [("3",), ("3",)]
    assert len(recipe.open_data(folder, conf)) == 4  # what is scored stays whole
    conf.data.require_scored = True
    assert recipe.open_data(folder, conf).names == ("3",)
    conf.data.batch_size = 3
    with pytest.raises(UserError, match=r"leaves 2 of 8 training faces, fewer than a batch of 3: .* lower"):
        recipe.training_parts(conf)


def test_training_sides_are_fixed_where_the_config_asks(folder):
    (part,) = recipe.training_parts(config(folder, fix_left_right=True, balance=1.0))
    assert isinstance(part.source, FixedSides)
    assert len(part.source) == 5


def test_a_system_of_one_size_takes_no_smaller_images():
    conf = configs.load("demo", ["data.resolution_schedule=[[2,32]]"])
    with pytest.raises(
        UserError, match=r"data.resolution_schedule must be \[\]: latents2segments trains at one image size"
    ):
        systems.build(conf)


def needing(*arrays):
    """As much of a system as the data ask for."""
    return type("System", (), {"label_set": CELEBAMASK, "needs": arrays})


@pytest.mark.parametrize("needs", [(), ("mask",), ("mask", "blobs")])
def test_blobs_are_made_for_steps_that_need_them(folder, needs):
    conf, system = config(folder, batch_size=4, blobs=3, threads=1, prefetch=1), needing(*needs)
    with recipe.training_batches(conf, system, recipe.training_parts(conf, system.needs)) as batches:
        assert ("blobs" in next(batches)) == ("blobs" in needs)


@pytest.mark.parametrize("name", ["landmarks", "identity"])
def test_data_without_an_array_that_the_steps_need_are_refused(folder, name):
    assert recipe.training_parts(config("synthetic:8"), ("mask", name))
    for train in (folder, f"synthetic:8 + {folder}"):
        with pytest.raises(UserError, match=rf"fake .* learns from {name}, and data.train='.*folder:.*' has faces"):
            recipe.training_parts(config(train), ("mask", name))


def test_people_of_a_mixture_are_refused():
    with pytest.raises(UserError, match=r"fake learns from identity, and data.train='.*' is a mixture, whose parts"):
        recipe.training_parts(config("synthetic:8/2 + synthetic:8/2?val"), ("mask", "identity"))


def test_only_steps_that_need_masks_refuse_photos(folder):
    shutil.rmtree(Path(folder.removeprefix("folder:")) / "masks")
    assert len(recipe.training_parts(config(folder), ())[0].source) == 4
    with pytest.raises(UserError, match="mask"):
        recipe.training_parts(config(folder))


def test_scored_data_are_framed_and_nothing_else(folder):
    conf = config("synthetic:8", balance=1.0, framing="face")
    scored = recipe.open_data(folder, conf)
    assert isinstance(scored, FramedSource)
    assert len(scored) == 4
    with pytest.raises(UserError):
        recipe.open_data(f"0.5*{folder} + 0.5*synthetic:8", conf)


def test_the_config_decides_how_batches_are_made(folder):
    conf = config(f"{folder} + synthetic:8", batch_size=4, blobs=20, threads=1, prefetch=1)
    system = needing("mask", "blobs")
    parts = recipe.training_parts(conf, system.needs)
    with recipe.training_batches(conf, system, parts) as batches:
        batch = next(batches)
        assert batches.get_state()["shares"] == [1, 1]
    assert batch["blobs"].shape == batch["mask"].shape == (4, conf.image_size, conf.image_size)


def test_relative_places_lie_in_the_root(folder, tmp_path, monkeypatch):
    monkeypatch.chdir("/")
    name = f"{tmp_path.name}?[1:3]"
    conf = config(f"0.75*folder:{name} + 0.25*synthetic:8", root=str(tmp_path.parent))
    faces, rendered = recipe.training_parts(conf)
    assert (len(faces.source), len(rendered.source)) == (2, 8)
    assert len(recipe.open_data(f"folder:{tmp_path.name}", conf)) == 4
    assert len(recipe.open_data(folder, conf)) == 4  # an absolute place stays where it is
    with pytest.raises(UserError, match=f"'{tmp_path.name}' does not exist"):
        recipe.open_data(f"folder:{tmp_path.name}", config(folder))


@pytest.mark.parametrize(
    ("kind", "where", "placed"),
    [
        ("records", "faces", "/data/faces"),
        ("records", "gs://bucket/faces", "gs://bucket/faces"),
        ("folder", "~/faces", "~/faces"),
        ("folder", "/faces", "/faces"),
        ("tfds", "sets#faces/whole", "/data/sets#faces/whole"),
        ("tfds", "faces", "faces"),
        ("synthetic", "8", "8"),
    ],
)
def test_only_relative_folders_are_placed(kind, where, placed):
    assert datasets.placed(kind, where, "/data") == placed
    assert datasets.placed(kind, where, "") == where
