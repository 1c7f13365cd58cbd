import dataclasses

import numpy as np
import pytest

from input_pipeline import datasets
from input_pipeline.audit import issues
from input_pipeline.audit.issues import ScannedSplit
from input_pipeline.audit.scan import scan
from input_pipeline.labels import CELEBAMASK, IGNORE, LabelSet
from input_pipeline.synthetic import SyntheticSource
from input_pipeline.types import Problem
from tests.helpers import face_folders


@dataclasses.dataclass(frozen=True)
class Fixed:
    """Examples from memory, which nobody has checked."""

    examples: tuple[dict[str, np.ndarray], ...]
    label_set: LabelSet = CELEBAMASK

    @property
    def names(self):
        return tuple(f"face{k}" for k in range(len(self)))

    def __len__(self):
        return len(self.examples)

    def __getitem__(self, index):
        return self.examples[index]


class Checksummed(Fixed):
    def verify(self):
        return (Problem("train-0.array_record", "d/train-0.array_record", "has another checksum than before"),)


def inspect(**splits) -> list[issues.Finding]:
    return issues.inspect({title: ScannedSplit(source, scan(source, jobs=1)) for title, source in splits.items()})


def inspect_folder(root) -> list[issues.Finding]:
    return inspect(**datasets.open_splits(f"folder:{root}", strict=False))


def noise(seed: int, mask: np.ndarray | None) -> dict[str, np.ndarray]:
    image = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    return {"image": image} if mask is None else {"image": image, "mask": mask}


def kinds(found) -> list[tuple[str, str]]:
    return [(finding.kind, finding.name) for finding in found if finding.kind != "empty_class"]


@pytest.fixture
def folder(tmp_path):
    return face_folders.write(tmp_path / "faces")


def test_a_whole_folder_has_no_findings(folder):
    assert inspect_folder(folder) == []


def test_planted_faults_are_found_and_nothing_else(folder):
    expected = face_folders.plant(folder)
    found = {(finding.kind, finding.split, finding.name): finding for finding in inspect_folder(folder)}
    assert found.keys() == expected.keys()
    for key, words in expected.items():
        assert words in found[key].detail, found[key]
    assert found["leak", "val", "v1"].other == ("train", "t5")
    assert issues.has_errors(list(found.values()))
    assert not issues.has_errors([found["leak", "val", "v1"], found["empty_class", "", "mouth"]])


def test_the_worst_kinds_come_first(folder):
    face_folders.plant(folder)
    order = list(issues.KINDS)
    places = [order.index(finding.kind) for finding in inspect_folder(folder)]
    assert places == sorted(places)
    errors = [issues.KINDS[kind].is_error for kind in order]
    assert errors == sorted(errors, reverse=True)


def test_procedural_faces_have_no_findings():
    assert inspect(**{"": SyntheticSource(100, 48, seed=0)}) == []


def test_masks_that_say_little_or_nothing():
    plain, ignored = np.full((8, 8), CELEBAMASK["hair"], np.uint8), np.full((8, 8), IGNORE, np.uint8)
    half, unknown = plain.copy(), plain.copy()
    half[:4], unknown[0] = IGNORE, 40
    masks = (plain, half, ignored, unknown, None)
    found = inspect(all=Fixed(tuple(noise(k, mask) for k, mask in enumerate(masks))))
    assert kinds(found) == [
        ("unknown_ids", "face3"),
        ("unlabelled", "face4"),
        ("plain_mask", "face0"),
        ("plain_mask", "face1"),
        ("ignored_mask", "face2"),
    ]
    assert found[0].detail == "8 pixels have ids outside label set 'celebamask'"


def test_photos_smaller_than_their_masks():
    """CelebAMask-HQ's masks are half the photo's size, which is fine; the other way round is not."""
    mask = np.tile(np.uint8([[0, 1]]), (8, 4))
    large = {"image": noise(0, None)["image"].repeat(2, axis=0).repeat(2, axis=1), "mask": mask}
    found = inspect(all=Fixed((noise(1, mask), large, {"image": np.zeros((1, 1, 3), np.uint8), "mask": mask})))
    assert kinds(found) == [("small_photo", "face2")]
    assert found[0].detail == "has 1 x 1 pixels, its mask 8 x 8"


def test_empty_classes_count_over_all_splits():
    def only(name: str) -> np.ndarray:
        mask = np.zeros((8, 8), np.uint8)
        mask[0] = CELEBAMASK[name]
        return mask

    found = inspect(train=Fixed((noise(0, only("hair")),)), val=Fixed((noise(1, only("hat")),)))
    assert {finding.name for finding in found} == set(CELEBAMASK.names) - {"background", "hair", "hat"}
    assert {(finding.kind, finding.split) for finding in found} == {("empty_class", "")}


def test_photos_without_masks_miss_no_classes():
    found = inspect(all=Fixed((noise(0, None), noise(1, None))))
    assert kinds(found) == [("unlabelled", "face0"), ("unlabelled", "face1")]
    assert len(found) == 2


def test_landmarks_that_mean_the_other_side():
    points = np.array([[6, 3], [2, 3], [4, 4], [5, 6], [3, 6]], np.float32)
    mask = np.tile(np.uint8([[0, 1]]), (8, 4))
    found = inspect(all=Fixed(({**noise(0, mask), "landmarks": points},)))
    assert kinds(found) == [("swapped_landmarks", "face0")]


def test_damaged_records_must_be_fixed():
    found = inspect(all=Checksummed((noise(0, np.tile(np.uint8([[0, 1]]), (8, 4))),)))
    assert kinds(found) == [("damaged_records", "train-0.array_record")]
    assert "'d/train-0.array_record' has another checksum" in found[0].detail
    assert issues.has_errors(found)


def test_copies_between_label_sets(folder):
    """Two data sets that number classes differently may still share photos."""
    source = datasets.open_source(f"folder:{folder}?val")
    photos = Fixed(tuple({"image": source[k]["image"]} for k in range(len(source))))
    found = [finding for finding in inspect(mine=source, theirs=photos) if finding.kind == "leak"]
    assert [(finding.name, finding.other) for finding in found] == [
        ("face0", ("mine", "v0")),
        ("face1", ("mine", "v1")),
        ("face2", ("mine", "v2")),
    ]
