"""Doubt: pictures of the kind that was seen pass, drawings do not; what a bundle says of it is checked."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from l2s_jax import Parser, bundle, cli
from l2s_jax.inference import familiar
from tests.helpers import fake_system

SIDE = 64


def photo(rng: np.random.Generator, side: int = SIDE) -> np.ndarray:
    """Clouds of colour under the noise of a sensor."""
    clouds = Image.fromarray(rng.integers(0, 256, (6, 6, 3), np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(clouds) + rng.normal(0, 5, (side, side, 3)), 0, 255).astype(np.uint8)


def drawing(rng: np.random.Generator) -> np.ndarray:
    """Flat areas with hard edges."""
    return rng.integers(0, 256, (4, 4, 3), np.uint8).repeat(SIDE // 4, 0).repeat(SIDE // 4, 1)


@pytest.fixture(scope="module")
def known():
    rng = np.random.default_rng(0)
    return familiar.fit(photo(rng) for _ in range(200))


def test_photos_pass_and_drawings_do_not(known):
    rng = np.random.default_rng(1)
    photos = [known.doubt(photo(rng)) for _ in range(200)]
    assert np.mean(np.array(photos) > 1) <= 0.03  # one of a hundred, give or take
    assert min(known.doubt(drawing(rng)) for _ in range(20)) > 3
    assert known.doubt(np.full((SIDE, SIDE, 3), 128, np.uint8)) > 3


def test_the_distance_is_that_of_mahalanobis():
    known = familiar.Familiar(np.zeros(2), np.array([[4.0, 0], [0, 1]]), 1.0)
    points = np.array([[1.0, 0], [0, 1], [1, 1], [0, 0]])
    found = familiar._distances(points, known.mean, known.precision)
    np.testing.assert_allclose(found, [2, 1, 5**0.5, 0])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 300), (2, 3), (129, 700)])
def test_any_size_has_finite_statistics(height, width):
    image = np.random.default_rng(2).integers(0, 256, (height, width, 3), np.uint8)
    found = familiar.statistics(image)
    assert found.shape == familiar.statistics(image[:1, :1]).shape
    assert np.isfinite(found).all()


def test_finer_detail_than_the_statistics_see_changes_little():
    image = photo(np.random.default_rng(3), 2 * familiar.SIDE)
    small = np.asarray(Image.fromarray(image).reduce(2))
    np.testing.assert_allclose(familiar.statistics(image), familiar.statistics(small), atol=0.05)


def test_what_a_bundle_says_is_read_back_exactly(known):
    again = familiar.from_json(json.loads(json.dumps(known.to_json())), "model")
    image = photo(np.random.default_rng(4))
    assert again.doubt(image) == known.doubt(image)
    assert familiar.from_json({}, "model") is None


@pytest.mark.parametrize(
    "change",
    [
        {"mean": [0.0]},
        {"mean": None},
        {"precision": [[1.0]]},
        {"precision": [[1.0], [1.0, 2.0]]},
        {"limit": 0.0},
        {"limit": float("nan")},
        {"limit": "a lot"},
    ],
)
def test_a_damaged_description_is_one_sentence(known, change):
    with pytest.raises(UserError, match=r"'some/model' is damaged.*'familiar'"):
        familiar.from_json(known.to_json() | change, "some/model")


def test_parser_and_command_say_it(known, tmp_path, capsys):
    rng = np.random.default_rng(5)
    Image.fromarray(photo(rng)).save(tmp_path / "photo.png")
    Image.fromarray(drawing(rng)).save(tmp_path / "drawing.png")
    with fake_system.working_directory(tmp_path) as root:
        meta = fake_system.save(root / "models" / "tiny")
        assert Parser("tiny")(tmp_path / "photo.png").doubt is None
        doubting = dataclasses.replace(meta, name="doubting", familiar=known.to_json())
        bundle.save(root / "models" / "doubting", fake_system.variables(), doubting)
        parse = ["parse", str(tmp_path / "photo.png"), str(tmp_path / "drawing.png"), "--model", "doubting"]
        assert cli.main(parse) == 0
        facts = {name: json.loads((root / "masks" / f"{name}.json").read_text()) for name in ("photo", "drawing")}
    lines = capsys.readouterr().out.splitlines()
    warned = [line.split()[0] for line in lines if "unlike the pictures this model learned from" in line]
    assert warned == ["drawing"]
    assert facts["photo"]["doubt"] < 1 < facts["drawing"]["doubt"]
