"""Painter's occlusion and the decision of the mask."""

import numpy as np

from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic.canvas import Canvas, soften, within
from input_pipeline.synthetic.palette import display
from input_pipeline.synthetic.raster import Cover

WHITE, BLACK = display(255, 255, 255), display(0, 0, 0)


def row(*alpha, start=0):
    return Cover((slice(0, 1), slice(start, start + len(alpha))), np.array([alpha], np.float32))


def test_a_later_layer_hides_an_earlier_one():
    canvas = Canvas(16, (1.0, 0.0))
    canvas.paint(row(1.0, 1.0, 1.0), WHITE, label="skin")
    canvas.paint(row(0.0, 0.4, 0.6), BLACK, label="hair")
    np.testing.assert_allclose(canvas.image[0, 0, :4], [1.0, 0.6, 0.4, 0.0], atol=1e-6)
    skin, hair = CELEBAMASK["skin"], CELEBAMASK["hair"]
    assert canvas.mask()[0, :4].tolist() == [skin, skin, hair, 0]


def test_shares_of_one_class_add_up_and_the_rest_is_background():
    canvas = Canvas(16, (1.0, 0.0))
    canvas.mark(row(0.3, 0.3), "hair")
    canvas.mark(row(0.4, 0.2), "skin")
    canvas.mark(row(0.35, 0.0), "hair")
    # Pixel 0: hair 0.35 + 0.3 * 0.6 * 0.65 = 0.467, skin 0.26, free 0.273. Pixel 1: free 0.56.
    assert canvas.mask()[0, :2].tolist() == [CELEBAMASK["hair"], 0]


def test_an_occluder_is_background_over_a_part():
    canvas = Canvas(16, (1.0, 0.0))
    canvas.mark(row(1.0, 1.0), "skin")
    canvas.mark(row(0.7, 0.3), "background")
    assert canvas.mask()[0, :2].tolist() == [0, CELEBAMASK["skin"]]


def test_within_multiplies_on_the_overlap():
    box, alpha = within(row(1.0, 0.5, 0.5), row(0.5, 0.25, 1.0, start=1))
    assert box == (slice(0, 1), slice(1, 3))
    np.testing.assert_array_equal(alpha, [[0.25, 0.125]])
    assert within(row(1.0), row(1.0, start=5)).alpha.size == 0


def test_soften_keeps_the_mass_and_moves_it():
    alpha = np.zeros((4, 4), np.float32)
    alpha[1, 2] = 1.0
    box, blurred = soften(Cover((slice(6, 10), slice(6, 10)), alpha), 1, (2, -1), 32)
    full = np.zeros((32, 32))
    full[box] = blurred
    assert np.argwhere(full > 0.1).tolist() == [[y, x] for y in (8, 9, 10) for x in (6, 7, 8)]
    np.testing.assert_allclose(full[9, 7], 1 / 9, rtol=1e-5)
