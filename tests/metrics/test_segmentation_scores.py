import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.labels import CELEBAMASK, L2S_REGIONS
from l2s_jax.metrics.segmentation import (
    baselines,
    confusion,
    confusion_on_host,
    merge_sides,
    picture_f1,
    position_counts,
    scores,
)


def random_masks(classes, seed=0, shape=(3, 7, 5)):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, shape).astype(np.int32)
    pred = np.where(rng.random(shape) < 0.6, truth, rng.integers(0, classes, shape)).astype(np.int32)
    truth[rng.random(shape) < 0.2] = 255
    return pred, truth


def test_confusion_counts_every_valid_pixel_of_real_examples():
    pred, truth = random_masks(4)
    expected = np.zeros((4, 4), int)
    for b, y, x in np.ndindex(truth.shape):
        if truth[b, y, x] != 255 and b != 1:
            expected[truth[b, y, x], pred[b, y, x]] += 1
    counts = jax.jit(confusion, static_argnums=2)(pred, truth, 4, jnp.array([1.0, 0, 1]))
    assert counts.dtype == jnp.int32
    np.testing.assert_array_equal(counts, expected)
    on_host = sum(confusion_on_host(pred[b], truth[b].astype(np.uint8), 4) for b in (0, 2))
    assert on_host.dtype == np.int64
    np.testing.assert_array_equal(on_host, expected)


def test_host_confusion_refuses_what_it_cannot_count():
    with pytest.raises(ValueError, match="differ in shape"):
        confusion_on_host(np.zeros((2, 3), int), np.zeros((3, 2), int), 2)
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        confusion_on_host(np.zeros(3, int), np.array([0, 1, 2]), 2)
    np.testing.assert_array_equal(confusion_on_host(np.zeros(2, int), np.full(2, 255), 2), np.zeros((2, 2)))


def test_scores_by_hand():
    counts = np.array([[50, 0, 10, 0], [5, 20, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    result = scores(counts, ("background", "hair", "skin", "nose"))
    hair = result["per_class"]["hair"]
    assert hair == {"f1": 40 / 45, "iou": 20 / 25, "precision": 1.0, "recall": 0.8, "pixels": 25}
    skin = result["per_class"]["skin"]  # predicted, never there
    assert skin == {"f1": 0.0, "iou": 0.0, "precision": 0.0, "recall": None, "pixels": 0}
    nose = result["per_class"]["nose"]  # neither there nor predicted
    assert nose == {"f1": None, "iou": None, "precision": None, "recall": None, "pixels": 0}
    assert result["mean_f1"] == pytest.approx((40 / 45 + 0) / 2)
    assert result["mean_iou"] == pytest.approx((50 / 65 + 0.8 + 0) / 3)
    assert result["mean_iou_foreground"] == pytest.approx(0.4)
    assert result["pixel_accuracy"] == pytest.approx(70 / 85)


def test_perfect_prediction_scores_one():
    _, truth = random_masks(len(L2S_REGIONS))
    pred = np.where(truth == 255, 0, truth)
    result = scores(confusion_on_host(pred, truth, len(L2S_REGIONS)), L2S_REGIONS.names)
    assert result["mean_f1"] == result["mean_iou"] == result["pixel_accuracy"] == 1.0
    assert "merged" not in result


def test_f1_and_iou_are_tied():
    result = scores(confusion_on_host(*random_masks(6), 6), L2S_REGIONS.names)
    for score in result["per_class"].values():
        assert score["f1"] == pytest.approx(2 * score["iou"] / (1 + score["iou"]))


def test_merged_scores_are_those_of_merged_masks():
    """Left and right swapped throughout: no eye is right by side, all are by kind."""
    _, truth = random_masks(len(CELEBAMASK), shape=(2, 40, 40))
    pred = CELEBAMASK.flip[truth % 255]
    result = scores(confusion_on_host(pred, truth, len(CELEBAMASK)), CELEBAMASK.names)
    assert result["per_class"]["l_eye"]["f1"] == 0.0
    assert result["merged"]["per_class"]["eyes"]["f1"] == 1.0
    assert result["merged"]["mean_f1"] == 1.0
    assert len(result["merged"]["per_class"]) == len(CELEBAMASK) - 3


def test_lips_and_earrings_are_no_sides():
    merged, table = merge_sides(CELEBAMASK.names)
    assert {"eyes", "brows", "ears", "l_lip", "u_lip", "ear_r", "neck_l"} <= set(merged)
    assert table[CELEBAMASK["l_eye"]] == table[CELEBAMASK["r_eye"]] == merged.index("eyes")
    assert merge_sides(("background", "l_eye"))[0] == ("background", "l_eye")


def test_nothing_counted_is_null_and_everything_is_json():
    text = json.dumps(scores(np.zeros((6, 6), np.int64), L2S_REGIONS.names), allow_nan=False)
    assert json.loads(text)["mean_f1"] is None
    json.dumps(scores(confusion_on_host(*random_masks(19), 19), CELEBAMASK.names), allow_nan=False)


def test_matrix_of_another_label_set_is_refused():
    with pytest.raises(ValueError, match="does not fit 6 class names"):
        scores(np.zeros((19, 19)), L2S_REGIONS.names)


def test_baselines_by_hand():
    """Two faces and one padding: pixel 0 is 1, then 2; pixel 1 is 2 in both; pixel 2 has no label."""
    truth = np.array([[[1, 2, 255]], [[2, 2, 255]], [[0, 0, 0]]])
    counts = position_counts(truth, np.float32([1, 1, 0]), 4)
    np.testing.assert_array_equal(counts, [[[0, 1, 1, 0], [0, 0, 2, 0], [0, 0, 0, 0]]])
    found = baselines(counts, ("background", "skin", "nose", "hat"))
    # Of classes that are equally frequent the first is answered: pixel 0 is called 1, pixel 1 is called 2.
    f1 = {name: entry["f1"] for name, entry in found["mean_mask"]["per_class"].items()}
    assert f1 == {"background": None, "skin": pytest.approx(2 / 3), "nose": pytest.approx(4 / 5), "hat": None}
    assert found["mean_mask"]["mean_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert found["mean_mask"]["pixel_accuracy"] == pytest.approx(3 / 4)
    chance = {name: entry["f1"] for name, entry in found["chance"]["per_class"].items()}
    assert chance == {"background": None, "skin": 0.25, "nose": 0.75, "hat": None}
    assert found["chance"]["mean_f1"] == 0.5


def test_chance_is_what_drawing_classes_scores():
    """Against a draw, and the mean mask against a network that answers it."""
    rng = np.random.default_rng(0)
    truth = rng.choice(3, (1, 300, 300), p=[0.5, 0.3, 0.2])
    drawn = rng.permutation(truth.ravel()).reshape(truth.shape)
    found = baselines(position_counts(truth, np.ones(1), 3), ("a", "b", "c"))
    lucky = scores(confusion_on_host(drawn, truth, 3), ("a", "b", "c"))
    assert found["chance"]["mean_f1"] == pytest.approx(lucky["mean_f1"], abs=0.01)
    assert found["mean_mask"]["mean_f1"] == 1  # a single face is its own mean


def test_the_f1_of_a_picture_leaves_out_what_it_does_not_show():
    counts = np.zeros((3, 3), np.int64)
    counts[0, 0], counts[0, 1], counts[1, 1] = 6, 2, 4  # class 2 is absent
    np.testing.assert_allclose(picture_f1(counts), [12 / 14, 8 / 10, np.nan])
