import dataclasses
import os

import numpy as np
import pytest

from input_pipeline import datasets
from input_pipeline.audit import class_counts, scan
from input_pipeline.audit.scan import measure_face
from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK, IGNORE
from input_pipeline.synthetic import SyntheticSource
from tests.helpers import face_folders


@dataclasses.dataclass(frozen=True)
class Patchy:
    """Faces of which some cannot be read; `deadly` ones end the process that reads them."""

    count: int
    broken: tuple[int, ...] = ()
    deadly: tuple[int, ...] = ()
    label_set = CELEBAMASK

    @property
    def names(self):
        return tuple(f"face{k}" for k in range(self.count))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        if index in self.deadly:
            os._exit(1)
        if index in self.broken:
            raise UserError(f"face {index} is damaged")
        mask = np.full((2, 2), index % 19, np.uint8)
        return {"image": np.full((4, 4, 3), index % 256, np.uint8), "mask": mask}


def test_facts_of_a_face_by_hand():
    mask = np.zeros((4, 6), np.uint8)
    mask[1, 4:] = CELEBAMASK["l_eye"]
    mask[3] = IGNORE
    image = np.zeros((8, 12, 3), np.uint8)
    points = np.array([[2, 3], [8, 3], [5, 5], [3, 6], [7, 6]], np.float32)
    row = measure_face({"image": image, "mask": mask, "landmarks": points}, CELEBAMASK)
    assert row["readable"]
    assert row["image_size"].tolist() == [8, 12]
    assert row["mask_size"].tolist() == [4, 6]
    assert row["pixels"][[CELEBAMASK["background"], CELEBAMASK["l_eye"]]].tolist() == [16, 2]
    assert row["pixels"].sum() == 18
    assert row["ignored"] == 6
    np.testing.assert_allclose(row["centroid"][CELEBAMASK["l_eye"]], [5 / 6, 1.5 / 4])
    assert np.isnan(row["centroid"][CELEBAMASK["r_eye"]]).all()
    assert row["eyes_apart"] == pytest.approx(6 / 12)


def test_facts_without_mask_and_with_unknown_landmarks():
    row = measure_face({"image": np.zeros((3, 3, 3), np.uint8), "landmarks": np.zeros((7, 2), np.float32)}, CELEBAMASK)
    assert not row["mask_size"].any()
    assert not row["pixels"].any()
    assert np.isnan(row["eyes_apart"])


def test_digest_tells_shapes_and_single_pixels_apart():
    images = [np.zeros((2, 8, 3), np.uint8), np.zeros((8, 2, 3), np.uint8), np.zeros((4, 4, 3), np.uint8)]
    images.append(images[2].copy())
    images[3][3, 3, 2] = 1
    digests = {measure_face({"image": image}, CELEBAMASK)["digest"].tobytes() for image in images}
    assert len(digests) == 4
    assert measure_face({"image": images[3]}, CELEBAMASK)["digest"].tobytes() in digests


def test_broken_faces_are_listed_and_the_others_are_read():
    told = []
    stats, broken = scan.scan(Patchy(70, broken=(3, 40)), jobs=1, progress=told.append)
    assert sum(told) == 70
    assert [(problem.name, problem.reason) for problem in broken] == [
        ("face3", "face 3 is damaged"),
        ("face40", "face 40 is damaged"),
    ]
    assert np.flatnonzero(~stats["readable"]).tolist() == [3, 40]
    readable = stats[stats["readable"]]
    assert (readable["pixels"].max(axis=1) == 4).all()


def test_processes_find_the_same_as_one():
    source = Patchy(130, broken=(0, 64, 129))
    alone, together = (scan.scan(source, jobs=jobs) for jobs in (1, 3))
    assert alone.stats.tobytes() == together.stats.tobytes()
    assert alone.broken == together.broken


@dataclasses.dataclass(frozen=True)
class Nameless(Patchy):
    """Its names are damaged too."""

    @property
    def names(self):
        raise UserError("the names are damaged")


@pytest.mark.parametrize("jobs", [1, 2])
def test_damaged_names_are_one_sentence(jobs, capfd):
    with pytest.raises(UserError, match="the names are damaged"):
        scan.scan(Nameless(70, broken=(3,)), jobs=jobs)
    assert capfd.readouterr().err == ""


def test_a_killed_process_is_one_sentence():
    with pytest.raises(UserError, match=r"ended before its time.*fewer --jobs"):
        scan.scan(Patchy(200, deadly=(50,)), jobs=2)


def test_counts_equal_numpy(tmp_path):
    face_folders.write(tmp_path)
    source = datasets.open_source(f"folder:{tmp_path}?train")
    masks = np.stack([source[k]["mask"] for k in range(len(source))])
    counts = class_counts.count(scan.scan(source, jobs=1).stats)
    per_face = np.stack([[(mask == k).sum() for k in range(len(source.label_set))] for mask in masks])
    assert (counts.faces, counts.labelled, counts.ignored) == (8, 8, 0)
    np.testing.assert_array_equal(counts.pixels, per_face.sum(axis=0))
    np.testing.assert_array_equal(counts.presence, (per_face > 0).sum(axis=0))
    for k, column in enumerate(per_face.T):
        assert counts.median_share[k] == pytest.approx(np.median(column[column > 0]) / face_folders.SIDE**2)
    assert counts.image_sizes == {(face_folders.SIDE, face_folders.SIDE): 8}


def test_counts_leave_broken_and_unlabelled_faces_out():
    rows = scan.scan(Patchy(6, broken=(2,)), jobs=1).stats
    rows["mask_size"][0] = rows["pixels"][0] = 0
    rows["image_size"][4] = (7, 5)
    counts = class_counts.count(rows)
    assert (counts.faces, counts.labelled) == (5, 4)
    assert counts.presence[:6].tolist() == [0, 1, 0, 1, 1, 1]
    assert counts.image_sizes == {(4, 4): 4, (7, 5): 1}
    assert (counts.heights, counts.widths) == ((4, 4, 7), (4, 4, 5))
    assert np.isnan(counts.median_share[0])


def test_sources_without_manifest_store_no_counts():
    assert class_counts.stored(SyntheticSource(3, 32, 0), "") is None
