import jax
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from skimage import measure

from l2s_jax.metrics.structure import boundary_f1, component_count_error, component_counts, structure_sums, summary

CLASSES = 3
SHAPE = (4, 20, 17)
WEIGHT = np.array([1, 0, 0.5, 1], np.float32)

counts_of = jax.jit(component_counts, static_argnums=1, static_argnames="connectivity")
count_error = jax.jit(component_count_error, static_argnums=2)
boundary = jax.jit(boundary_f1, static_argnums=2, static_argnames="tolerance")
sums_of = jax.jit(structure_sums, static_argnums=2)


@pytest.fixture(scope="module")
def masks():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, (4, 5, 5)).repeat(4, 1).repeat(4, 2)[:, :, :17].astype(np.int32)
    pred = np.where(rng.random(SHAPE) < 0.1, rng.integers(0, CLASSES, SHAPE), np.roll(truth, 1, axis=2))
    truth[rng.random(SHAPE) < 0.05] = 255
    return pred.astype(np.int32), truth


def counts_by_skimage(image, connectivity):
    numbers = measure.label(np.where(image == 255, 0, image + 1), background=0, connectivity=connectivity)
    return np.array([len(np.unique(numbers[image == k])) for k in range(CLASSES)])


@pytest.mark.parametrize("connectivity", [4, 8])
def test_counts_are_those_of_skimage(masks, connectivity):
    for image in masks:
        ours = counts_of(image, CLASSES, connectivity=connectivity)
        expected = [counts_by_skimage(x, connectivity // 4) for x in image]
        np.testing.assert_array_equal(ours, expected)


def test_count_error_is_the_published_one(masks):
    pred, truth = masks
    error = count_error(pred, truth, CLASSES, WEIGHT)
    image, classes = [], []
    for b in (0, 2, 3):
        seen = np.where(truth[b] == 255, 255, pred[b])
        difference = counts_by_skimage(seen, 2) - counts_by_skimage(truth[b], 2)
        image.append(abs(difference[1:].sum()))
        classes.append(np.abs(difference))
    assert sum(image) > 0
    assert error.image == sum(image)
    assert error.count == 3
    np.testing.assert_array_equal(error.classes, np.sum(classes, axis=0))


def test_published_count_by_its_own_call():
    """`skimage.measure.label` on the class map itself: class 0 is its background, connectivity is full."""
    pred = np.random.default_rng(2).integers(0, CLASSES, SHAPE, dtype=np.int32)
    truth = np.zeros_like(pred)
    truth[:, 3:9, 3:9] = 1
    expected = sum(abs(measure.label(pred[b]).max() - measure.label(truth[b]).max()) for b in (0, 2, 3))
    assert count_error(pred, truth, CLASSES, WEIGHT).image == expected


def test_a_perfect_prediction_has_no_error(masks):
    _, truth = masks
    pred = np.where(truth == 255, 1, truth)
    error = count_error(pred, truth, CLASSES, WEIGHT)
    assert error.image == 0
    np.testing.assert_array_equal(error.classes, 0)
    total, count = boundary(pred, truth, CLASSES, WEIGHT, tolerance=0)
    np.testing.assert_allclose(total, count)
    np.testing.assert_array_equal(count, 3)


def edges_by_hand(image, k):
    edge = np.zeros(image.shape, bool)
    for y, x in np.argwhere(image == k):
        for u, v in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
            if 0 <= u < image.shape[0] and 0 <= v < image.shape[1] and image[u, v] not in (k, 255):
                edge[y, x] = True
    return edge


def part_within(edge, other, tolerance):
    if not edge.any() or not other.any():
        return 0.0
    return (distance_transform_edt(~other)[edge] <= tolerance).mean()


@pytest.mark.parametrize("tolerance", [0, 1, 1.5, 3])
def test_boundary_f1_by_distances(masks, tolerance):
    pred, truth = masks
    total, count = boundary(pred, truth, CLASSES, WEIGHT, tolerance=tolerance)
    for k in range(CLASSES):
        scores = []
        for b in (0, 2, 3):
            ours = edges_by_hand(np.where(truth[b] == 255, 255, pred[b]), k)
            theirs = edges_by_hand(truth[b], k)
            if ours.any() or theirs.any():
                precision, recall = (part_within(*pair, tolerance) for pair in ((ours, theirs), (theirs, ours)))
                scores.append(2 * precision * recall / (precision + recall) if precision + recall else 0.0)
        assert count[k] == len(scores)
        np.testing.assert_allclose(total[k], sum(scores), rtol=1e-6)


@pytest.mark.parametrize(("shift", "expected"), [(1, 1.0), (2, 0.0)])
def test_a_shift_beyond_the_tolerance_costs_all(shift, expected):
    truth = np.zeros(SHAPE, np.int32)
    truth[:, :, 8:] = 1
    pred = np.roll(truth, shift, axis=2)
    pred[:, :, :shift] = 0
    total, count = boundary(pred, truth, CLASSES, WEIGHT, tolerance=1)
    np.testing.assert_array_equal(count, [3, 3, 0])
    np.testing.assert_allclose(total, expected * count)


def test_absent_classes_and_invented_ones():
    """A class that neither has is not counted; one that only the prediction has scores 0."""
    truth = np.zeros(SHAPE, np.int32)
    pred = truth.copy()
    pred[0, 2:4, 2:4] = 1
    total, count = boundary(pred, truth, CLASSES, WEIGHT, tolerance=1)
    np.testing.assert_array_equal(total, 0)
    np.testing.assert_array_equal(count, [1, 1, 0])


def test_the_last_of_32_classes_has_a_bit():
    truth = np.full((1, 4, 4), 31, np.int32)
    truth[0, :2] = 30
    total, count = boundary(truth, truth, 32, np.ones(1), tolerance=1)
    np.testing.assert_array_equal(count, np.arange(32) >= 30)
    np.testing.assert_array_equal(total, count)
    with pytest.raises(ValueError, match="at most 32 classes, not 33"):
        boundary_f1(truth, truth, 33, np.ones(1), tolerance=1)


def test_summary_of_two_faces_counted_by_hand():
    """The first face has skin (1) in two pieces instead of one, and lacks the hat (2); the second is right."""
    truth = np.zeros((3, 6, 6), np.int32)
    truth[:, 1:5, 1:5] = 1
    truth[0, 5, 5] = 2  # touches the skin at a corner: a component of its own class all the same
    pred = truth.copy()
    pred[0, 3] = 0
    pred[0, 5, 5] = 0
    sums = sums_of(pred, truth, 3, np.array([1, 1, 0], np.float32))
    scores = summary(sums, ("background", "skin", "hat"))
    # All classes together: 2 pieces of skin and no hat against 1 and 1. Class by class: one too many, one too few.
    assert scores["components_off"] == {"total": 0.0, "per_class": {"background": 0.0, "skin": 0.5, "hat": 0.5}}
    # The tolerance of 0.0075 * 8.5 is under a pixel. The boundary of the skin is the ring of 12 pixels of its square;
    # predicted are all 12 that are left, of which two, in the middle of row 2, are not on the ring: F1 is 10 / 12.
    boundary = scores["boundary_f1"]["per_class"]
    assert (boundary["skin"], boundary["hat"]) == (pytest.approx(11 / 12), 0)
    assert scores["boundary_f1"]["mean"] == pytest.approx((11 / 12 + 0) / 2)


def test_summary_of_nothing_and_of_too_many_classes():
    truth = np.zeros((1, 4, 4), np.int32)
    of_one = summary(sums_of(truth, truth, 2, np.zeros(1, np.float32)), ("background", "skin"))
    assert of_one["components_off"] == {"total": None, "per_class": {"background": None, "skin": None}}
    assert of_one["boundary_f1"]["mean"] is None
    names = [str(k) for k in range(33)]
    pred = truth.copy()
    pred[0, 0, 0] = 32
    of_many = summary(sums_of(pred, truth, 33, np.ones(1, np.float32)), names)
    assert of_many["components_off"]["total"] == of_many["components_off"]["per_class"]["32"] == 1
    assert set(of_many["boundary_f1"]["per_class"].values()) == {None}
