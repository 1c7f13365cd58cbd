import numpy as np
import pytest

from input_pipeline.audit import sides
from input_pipeline.audit.scan import measure_face
from input_pipeline.audit.sides import Verdict
from input_pipeline.images.geometry import flip
from input_pipeline.labels import CELEBAMASK, FASSEG, LAPA
from input_pipeline.synthetic import SyntheticSource

PHOTO = np.zeros((40, 100, 3), np.uint8)


def mask_with(**columns: int) -> np.ndarray:
    """uint8 [40, 100]: 4 x 4 pixels of each class from a column on, in a row of its own."""
    mask = np.zeros((40, 100), np.uint8)
    for row, (name, column) in enumerate(columns.items()):
        mask[4 * row : 4 * row + 4, column : column + 4] = CELEBAMASK[name]
    return mask


def judged(*masks: np.ndarray, label_set=CELEBAMASK) -> list[Verdict]:
    stats = np.stack([measure_face({"image": PHOTO, "mask": mask}, label_set) for mask in masks])
    return [Verdict(v) for v in sides.verdicts(sides.separations(stats, label_set))]


def test_partners_of_the_label_sets():
    assert sides.partners(CELEBAMASK) == [("l_eye", "r_eye"), ("l_brow", "r_brow"), ("l_ear", "r_ear")]
    assert sides.partners(FASSEG) == []


def test_separation_is_in_units_of_the_parts():
    stats = measure_face({"image": PHOTO, "mask": mask_with(l_eye=60, r_eye=20)}, CELEBAMASK)[None]
    np.testing.assert_allclose(sides.separations(stats, CELEBAMASK), [[10, np.nan, np.nan]], rtol=1e-6)


@pytest.mark.parametrize(
    ("columns", "verdict"),
    [
        ({"l_eye": 60, "r_eye": 20}, Verdict.CORRECT),
        ({"l_eye": 20, "r_eye": 60}, Verdict.SWAPPED),
        ({"l_eye": 20, "r_eye": 60, "l_brow": 20, "r_brow": 60, "l_ear": 5, "r_ear": 90}, Verdict.SWAPPED),
        ({"l_eye": 20, "r_eye": 60, "l_brow": 60, "r_brow": 20, "l_ear": 90, "r_ear": 5}, Verdict.MIXED),
        ({"l_eye": 51, "r_eye": 50, "l_brow": 60, "r_brow": 20}, Verdict.CORRECT),
        ({"l_eye": 50, "r_eye": 51}, Verdict.UNCLEAR),
        ({"l_eye": 60, "l_brow": 60, "r_ear": 5}, Verdict.UNCLEAR),
        ({"hair": 10}, Verdict.UNCLEAR),
    ],
)
def test_verdict_by_hand(columns, verdict):
    assert judged(mask_with(**columns)) == [verdict]


def test_label_sets_without_sides_are_unclear():
    assert judged(np.full((40, 100), FASSEG["eyes"], np.uint8), label_set=FASSEG) == [Verdict.UNCLEAR]


def test_procedural_faces_are_correct_and_mirroring_pixels_alone_swaps_every_clear_one():
    source = SyntheticSource(40, 64, seed=11)
    examples = [source[k] for k in range(len(source))]

    def verdicts(change) -> np.ndarray:
        stats = np.stack([measure_face(change(example), CELEBAMASK) for example in examples])
        assert np.isfinite(stats["eyes_apart"]).all()
        return sides.verdicts(sides.separations(stats, CELEBAMASK))

    correct = verdicts(lambda x: x)
    assert set(correct) <= {Verdict.CORRECT, Verdict.UNCLEAR}
    assert (correct == Verdict.CORRECT).sum() >= 35
    np.testing.assert_array_equal(verdicts(lambda x: flip(x, CELEBAMASK)), correct)
    naive = verdicts(lambda x: {**x, "mask": x["mask"][:, ::-1]})
    np.testing.assert_array_equal(naive, np.where(correct == Verdict.CORRECT, Verdict.SWAPPED, correct))


def test_label_sets_in_other_orders():
    lapa = np.zeros((40, 100), np.uint8)
    lapa[:4, 10:14], lapa[:4, 80:84] = LAPA["l_brow"], LAPA["r_brow"]
    assert judged(lapa, label_set=LAPA) == [Verdict.SWAPPED]


def test_only_swapped_masks_are_fixed():
    correct, swapped = mask_with(l_eye=60, r_eye=20, nose=40), mask_with(l_eye=20, r_eye=60, nose=40)
    unclear = mask_with(l_eye=60, hair=10)
    for mask in (correct, unclear):
        np.testing.assert_array_equal(sides.fix_left_right(mask, CELEBAMASK), mask)
    np.testing.assert_array_equal(sides.fix_left_right(swapped, CELEBAMASK), mask_with(r_eye=20, l_eye=60, nose=40))


def test_a_view_of_fixed_masks_leaves_everything_else():
    faces = SyntheticSource(3, size=64, seed=0)

    class Mirrored:
        label_set, names = faces.label_set, faces.names

        def __len__(self):
            return len(faces)

        def __getitem__(self, index):
            example = faces[index]
            return example | {"mask": np.take(self.label_set.flip, example["mask"])} if index else {"image": PHOTO}

    view = sides.FixedSides(Mirrored())
    assert len(view) == 3
    assert set(view[0]) == {"image"}
    for index in (1, 2):
        for name, array in faces[index].items():
            np.testing.assert_array_equal(view[index][name], array)
        np.testing.assert_array_equal(view.read_reduced(index, 8)["mask"], faces[index]["mask"])
