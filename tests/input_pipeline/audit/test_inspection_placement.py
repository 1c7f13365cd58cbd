"""Landmarks measured against the photo and the mask: no correct face is called wrong, every planted fault is found."""

import numpy as np
import pytest

from input_pipeline.audit import issues, placement
from input_pipeline.audit.issues import ScannedSplit
from input_pipeline.audit.scan import Scan, measure_face, scan
from input_pipeline.labels import CELEBAMASK, L2S_REGIONS, LAPA, SKIN_HAIR, remap
from input_pipeline.synthetic import SyntheticSource, render, sample_factors

SIDE = 40
COUNT = 90


@pytest.fixture(scope="module")
def faces():
    """Faces of six streams, every third in profile and seen from above or below."""
    rng, drawn = np.random.default_rng(0), []
    for k in range(COUNT):
        factors = sample_factors(k % 6, k)
        if k % 3 == 0:
            factors = factors.replace(
                yaw=float(rng.choice([-1, 1]) * rng.uniform(1.5, 3.5)), pitch=float(rng.normal(0, 1.5))
            )
        drawn.append(render(k % 6, k, SIDE, factors=factors))
    return drawn


@pytest.fixture(scope="module")
def rows(faces):
    """The stats of `faces` without landmarks."""
    return np.stack([measure_face({"image": f["image"], "mask": f["mask"]}, CELEBAMASK) for f in faces])


class Named:
    """The names and label set of faces whose stats are there already."""

    label_set = CELEBAMASK

    def __init__(self, count):
        self.names = [f"face{k}" for k in range(count)]


def marked(rows, faces, change, select=lambda points: points):
    """The stats with changed landmarks."""
    result = rows.copy()
    for row, face in zip(result, faces, strict=True):
        points = placement.measure(change(select(face["landmarks"]).astype(np.float64)), (SIDE, SIDE))
        row["points"] = 68
        row["points_finite"], row["points_inside"], row["points_spread"], row["five"] = points
    return result


def found(stats):
    source = Named(len(stats))
    return list(issues._landmarks("", ScannedSplit(source, Scan(stats, []))))


def five(points):
    return np.stack([points[36:42].mean(0), points[42:48].mean(0), points[30], points[48], points[54]])


@pytest.mark.parametrize("select", [lambda points: points, five], ids=["68 points", "5 points"])
def test_no_correct_face_is_called_wrong(rows, faces, select):
    stats = marked(rows, faces, lambda points: points, select)
    assert found(stats) == []
    assert np.nanmax(placement.distances(stats, CELEBAMASK)) < 0.65 * placement.LIMIT
    assert np.isfinite(placement.distances(stats, CELEBAMASK)).all()


FAULTS = {
    "twice": lambda p: 2 * p,
    "half": lambda p: p / 2,
    "three quarters": lambda p: 0.75 * p,
    "right": lambda p: p + np.array([0.2 * SIDE, 0]),
    "up": lambda p: p - [0, 0.2 * SIDE],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_misplaced_face_is_found(rows, faces, fault):
    for select in (lambda points: points, five):
        told = found(marked(rows, faces, FAULTS[fault], select))
        assert {finding.kind for finding in told} <= {"misplaced_landmarks", "unusable_landmarks", "landmark_frame"}
        assert {finding.name for finding in told} == {"landmarks", *Named(COUNT).names}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: 0 * p, "all points lie within 0 pixels"),
        (lambda p: p / SIDE, "are they fractions of the photo"),
        (lambda p: p + 5000, "no point lies in the photo"),
        (lambda p: np.where(p > p.min(), p, np.nan), "not finite"),
        (lambda p: np.where(p > p.min(), p, np.inf), "not finite"),
    ],
)
def test_landmarks_that_show_no_face_must_be_fixed(rows, faces, change, words):
    details = found(marked(rows[:8], faces[:8], change))
    assert [finding.kind for finding in details] == ["unusable_landmarks"] * 8
    assert all(words in finding.detail for finding in details)
    assert issues.has_errors(details)


@pytest.mark.parametrize(("scale", "remedy"), [(2.0, 0.5), (0.5, 2.0)])
def test_another_scale_is_told_for_the_data_set(rows, faces, scale, remedy):
    (frame,) = (f for f in found(marked(rows, faces, lambda p: scale * p)) if f.kind == "landmark_frame")
    assert frame.detail.startswith(f"{COUNT} of {COUNT} faces have their landmarks beside the face; multiplied by ")
    assert float(frame.detail.split()[-3]) == pytest.approx(remedy, rel=0.04)
    assert issues.has_errors([frame])


def test_landmarks_of_other_photos_are_told_for_the_data_set(rows, faces):
    (frame,) = (f for f in found(marked(rows, faces, lambda p: [0, SIDE] + p * [1, -1])) if f.kind == "landmark_frame")
    assert "no scale makes them fit" in frame.detail


def test_one_wrong_face_is_named_and_no_reason_to_fix_the_data_set(rows, faces):
    stats = marked(rows, faces, lambda p: p)
    stats[7] = marked(rows[7:8], faces[7:8], FAULTS["half"])[0]
    (finding,) = found(stats)
    assert (finding.kind, finding.name) == ("misplaced_landmarks", "face7")
    assert "face sizes from those of the mask" in finding.detail


def test_without_masks_the_photo_is_the_measure(rows, faces):
    blind = rows.copy()
    for field in ("pixels", "mask_size"):
        blind[field] = 0
    blind["centroid"] = np.nan
    assert found(marked(blind, faces, lambda p: p)) == []
    outside = marked(blind, faces, FAULTS["twice"])
    assert {finding.name for finding in found(outside)} == set(Named(COUNT).names)
    beside = [finding for finding in found(outside) if finding.kind == "misplaced_landmarks"]
    assert len(beside) > COUNT / 2
    assert all("of the points lie outside of the photo" in finding.detail for finding in beside)


@pytest.mark.parametrize("label_set", [LAPA, L2S_REGIONS])
def test_other_label_sets(faces, label_set):
    table = remap(CELEBAMASK, label_set)
    stats = np.stack([measure_face({**face, "mask": table[face["mask"]]}, label_set) for face in faces[:40]])
    assert np.nanmax(placement.distances(stats, label_set)) < placement.LIMIT / 2
    assert np.nanmin(placement.distances(stats, label_set, scale=2.0)) > placement.LIMIT


def test_labels_without_parts_and_unknown_points_say_nothing(faces):
    table = remap(CELEBAMASK, SKIN_HAIR)
    stats = measure_face({**faces[0], "mask": table[faces[0]["mask"]]}, SKIN_HAIR)[None]
    assert np.isnan(placement.distances(stats, SKIN_HAIR)).all()
    odd = measure_face({**faces[0], "landmarks": faces[0]["landmarks"][:7]}, CELEBAMASK)[None]
    assert np.isnan(placement.distances(odd, CELEBAMASK)).all()
    assert np.isnan(placement.fitting_scale(odd, CELEBAMASK))
    assert (odd["points"][0], odd["points_inside"][0]) == (7, 1)


class Varied(SyntheticSource):
    """Faces of which one has five points and one none."""

    def __getitem__(self, index):
        face = super().__getitem__(index)
        if index == 1:
            return face | {"landmarks": five(face["landmarks"]).astype(np.float32)}
        return {key: face[key] for key in ("image", "mask")} if index == 2 else face


def test_different_numbers_of_landmarks():
    source = Varied(5, SIDE, seed=0)
    (finding,) = (
        f for f in issues.inspect({"": ScannedSplit(source, scan(source, jobs=1))}) if f.kind not in ("empty_class",)
    )
    assert (finding.kind, finding.detail) == (
        "landmark_counts",
        "1 face with none, 1 face with 5, 3 faces with 68",
    )
