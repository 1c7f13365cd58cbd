import numpy as np
import pytest

from input_pipeline.labels import CELEBAMASK, IGNORE, L2S_REGIONS
from l2s_jax.report import overlays

HAIR, SKIN = L2S_REGIONS["hair"], L2S_REGIONS["skin"]
COLORS = {label.name: np.array(label.color) for label in L2S_REGIONS.labels}


def block(inner: int) -> np.ndarray:
    """uint8 [7, 7]: a 5 x 5 block of `inner` on background."""
    ids = np.zeros((7, 7), np.uint8)
    ids[1:6, 1:6] = inner
    return ids


def test_colorize_is_the_palette():
    colors = overlays.colorize(np.array([[0, HAIR, IGNORE]], np.uint8), L2S_REGIONS)
    assert colors.dtype == np.uint8
    assert colors.tolist() == [[list(COLORS["background"]), list(COLORS["hair"]), [255, 255, 255]]]


def test_overlay_tints_the_inside_draws_the_rim_and_leaves_the_rest():
    image = np.full((7, 7, 3), 100, np.uint8)
    ids = block(HAIR)
    ids[0, 0] = IGNORE
    result = overlays.overlay(image, ids, L2S_REGIONS, alpha=0.25)
    rim = np.zeros((7, 7), bool)
    rim[1:6, 1:6] = True
    rim[2:5, 2:5] = False
    assert (result[rim] == COLORS["hair"]).all()
    assert (result[2:5, 2:5] == np.round(0.75 * 100 + 0.25 * COLORS["hair"])).all()
    outside = (ids == 0) | (ids == IGNORE)
    assert (result[outside] == 100).all()
    assert (image == 100).all(), "the input was changed"


def test_overlay_without_outline_and_full_alpha_is_flat_colour():
    image = np.zeros((7, 7, 3), np.uint8)
    result = overlays.overlay(image, block(SKIN), L2S_REGIONS, alpha=1.0, outline=False)
    assert (result[1:6, 1:6] == COLORS["skin"]).all()


def test_seam_between_two_regions_is_one_pixel_wide():
    ids = np.full((5, 8), HAIR, np.uint8)
    ids[:, 4:] = SKIN
    assert overlays.contour(ids).tolist() == [[False] * 3 + [True] + [False] * 4] * 5


def test_overlay_refuses_another_size():
    with pytest.raises(ValueError, match="differ in size"):
        overlays.overlay(np.zeros((4, 5, 3), np.uint8), np.zeros((5, 4), np.uint8), L2S_REGIONS)


def test_error_kinds_count_every_mistake_once():
    truth = np.array([[0, 0, HAIR, HAIR, HAIR, IGNORE]], np.uint8)
    prediction = np.array([[0, SKIN, HAIR, 0, SKIN, SKIN]], np.uint8)
    kinds = overlays.error_kinds(prediction, truth)
    expected = [overlays.CORRECT, overlays.INVENTED, overlays.CORRECT, overlays.MISSED, overlays.CONFUSED, IGNORE]
    assert kinds.tolist() == [expected]


def test_error_map_colours_exactly_the_wrong_pixels():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 6, (2, 40, 30), dtype=np.uint8)
    truth[:3] = IGNORE
    errors = overlays.error_map(prediction, truth, rng.integers(0, 256, (40, 30, 3), dtype=np.uint8))
    colors = np.array([color for _, color in overlays.ERROR_KINDS.values()])
    colored = (errors[:, :, None] == colors).all(axis=-1).any(axis=-1)
    assert (colored == ((prediction != truth) & (truth != IGNORE))).all()


def test_legend_shows_the_present_classes_and_wraps():
    everything, one = overlays.legend(CELEBAMASK), overlays.legend(CELEBAMASK, present={CELEBAMASK["hair"]})
    assert everything.shape[1] == one.shape[1]
    assert everything.shape[0] > one.shape[0]
    palette = {tuple(color) for color in one.reshape(-1, 3).tolist()}
    colors = {label.name: label.color for label in CELEBAMASK.labels}
    assert colors["hair"] in palette
    assert colors["skin"] not in palette
    assert {label.color for label in CELEBAMASK.labels} <= {tuple(c) for c in everything.reshape(-1, 3).tolist()}
