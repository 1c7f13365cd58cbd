import dataclasses
import pickle

import numpy as np
import pytest
from etils import epath
from PIL import Image

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.readers.downloads.source import LayoutSource
from input_pipeline.selection import Subset
from input_pipeline.types import Problem, Source


@dataclasses.dataclass(frozen=True)
class Photos:
    """A split of photos "0.jpg", "1.jpg", ... with masks and landmarks that are given."""

    folder: str
    masks: tuple[np.ndarray | None, ...]
    landmarks: np.ndarray | None = None
    problems: tuple[Problem, ...] = ()
    label_set = labels.LAPA

    @property
    def names(self):
        return tuple(str(k) for k in range(len(self.masks)))

    def image_path(self, index):
        return epath.Path(self.folder) / f"{index}.jpg"

    def read_mask(self, index):
        if isinstance(self.masks[index], str):
            raise UserError(self.masks[index])
        return self.masks[index]

    def read_landmarks(self, index):
        return self.landmarks


def write_photo(folder, size=(16, 24), index=0):
    pixels = np.random.default_rng(index).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / f"{index}.jpg")


def test_is_a_source(tmp_path):
    write_photo(tmp_path)
    mask = np.full((16, 24), 3, np.uint8)
    source = LayoutSource(Photos(str(tmp_path), (mask,)))
    assert isinstance(source, Source)
    assert len(source) == 1
    assert source.names == ("0",)
    assert source.problems == ()
    np.testing.assert_array_equal(source[0]["mask"], mask)
    np.testing.assert_array_equal(source.read_mask(0), mask)
    np.testing.assert_array_equal(source[0]["image"], np.asarray(Image.open(tmp_path / "0.jpg")))
    np.testing.assert_array_equal(Subset(source, -1, None)[0]["mask"], mask)


def test_is_picklable(tmp_path):
    write_photo(tmp_path)
    source = LayoutSource(Photos(str(tmp_path), (np.zeros((16, 24), np.uint8),)))
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy[0]["image"], source[0]["image"])


def test_reduced_reading_moves_the_landmarks_and_keeps_the_mask(tmp_path):
    write_photo(tmp_path, size=(64, 128))
    points = np.array([[128, 64], [10, 20]], np.float32)
    example = LayoutSource(Photos(str(tmp_path), (np.zeros((64, 128), np.uint8),), points)).read_reduced(0, 30)
    assert example["image"].shape == (16, 32, 3)
    assert example["mask"].shape == (64, 128)
    np.testing.assert_array_equal(example["landmarks"], points / 4)


def test_mask_of_half_the_size(tmp_path):
    write_photo(tmp_path)
    assert LayoutSource(Photos(str(tmp_path), (np.zeros((8, 12), np.uint8),)))[0]["mask"].shape == (8, 12)


@pytest.mark.parametrize("at_least", [None, 12])
def test_mask_of_another_shape(tmp_path, at_least):
    """Also where the image, decoded at half its size, would by chance have the size of the mask."""
    write_photo(tmp_path)
    source = LayoutSource(Photos(str(tmp_path), (np.zeros((7, 12), np.uint8),)))
    with pytest.raises(UserError, match=r"0\.jpg' has 12 x 7 pixels, but the photo has 24 x 16"):
        source[0] if at_least is None else source.read_reduced(0, at_least)


def test_problems_stop_a_strict_source_only(tmp_path):
    problems = tuple(Problem(str(k), f"photos/{k}.jpg", "has no mask") for k in (7, 8, 9))
    raw = Photos(str(tmp_path), (np.zeros((16, 24), np.uint8),), problems=problems)
    with pytest.raises(UserError, match=r"'photos/7\.jpg' has no mask \(and 2 more\); `l2s data check` lists"):
        LayoutSource(raw)
    with pytest.raises(UserError, match=r"'photos/7\.jpg' has no mask; `l2s data check` lists"):
        LayoutSource(dataclasses.replace(raw, problems=problems[:1]))
    source = LayoutSource(raw, strict=False)
    assert source.problems == problems
    assert source.names == ("0",)


def test_data_without_labels(tmp_path):
    write_photo(tmp_path)
    raw = Photos(str(tmp_path), (None,))
    with pytest.raises(UserError, match=r"0\.jpg' has no mask, nor have the other photos"):
        LayoutSource(raw)
    assert set(LayoutSource(raw, require_masks=False)[0]) == {"image"}


def test_damaged_first_mask_does_not_stop_the_others(tmp_path):
    write_photo(tmp_path, index=1)
    source = LayoutSource(Photos(str(tmp_path), ("'0.png' is damaged", np.ones((16, 24), np.uint8))))
    assert source[1]["mask"].all()
    with pytest.raises(UserError, match="is damaged"):
        source[0]


def test_upright_mask_of_a_rotated_photo(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (30, 20), (200, 0, 0)).save(tmp_path / "0.jpg", exif=exif)
    source = LayoutSource(Photos(str(tmp_path), (np.zeros((30, 20), np.uint8),)))
    for example in (source[0], source.read_reduced(0, 8)):
        assert example["mask"].shape == (30, 20)
    assert source[0]["image"].shape == (30, 20, 3)


def test_no_whole_face_is_data_to_check_but_not_to_learn_from(tmp_path):
    raw = Photos(str(tmp_path), (), problems=(Problem("0", "raw/0.jpg", "has no mask"),))
    with pytest.raises(UserError, match=r"'raw/0.jpg' has no mask; `l2s data check` lists what is wrong"):
        LayoutSource(raw, strict=False)
    source = LayoutSource(raw, strict=False, require_masks=False)
    assert (len(source), source.problems) == (0, raw.problems)
