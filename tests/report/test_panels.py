import io

import numpy as np
import pytest
from PIL import Image

from input_pipeline.labels import L2S_REGIONS
from l2s_jax.report import figures, image_grid, overlays, swap_triangle


def test_sheet_places_every_picture():
    images = [np.full((10, 8, 3), 40 * i, np.uint8) for i in range(5)]
    page = image_grid.sheet([images[:3], images[3:]])
    margin = (page.shape[1] - (3 * 8 + 2 * image_grid.GAP)) // 2
    for i in range(5):
        r, c = divmod(i, 3)
        y, x = margin + r * (10 + image_grid.GAP), margin + c * (8 + image_grid.GAP)
        assert (page[y : y + 10, x : x + 8] == 40 * i).all()
        assert (page[y - 1, x : x + 8] == overlays.MAT).all()


@pytest.mark.parametrize("pictures", [[], [np.zeros((4, 4, 3), np.uint8), np.zeros((4, 5, 3), np.uint8)]])
def test_sheet_refuses_nothing_and_mixed_sizes(pictures):
    with pytest.raises(ValueError, match="one size"):
        image_grid.sheet([pictures])


def test_class_maps_are_never_mixed_when_resized():
    ids = np.zeros((9, 9), np.uint8)
    ids[3:7, 2:8] = 5
    assert set(np.unique(image_grid.fit(ids, 64))) == {0, 5}
    assert image_grid.fit(np.zeros((50, 100, 3), np.uint8), 64).shape == (32, 64, 3)


def test_every_panel_is_a_png_of_the_faces(arrays):
    drawn = figures.draw_panels(arrays, L2S_REGIONS)
    assert set(drawn) == {"segmentation", "reconstruction", "regions", "swaps", "triangle", "traversals"}
    for data in drawn.values():
        with Image.open(io.BytesIO(data)) as image:
            assert image.format == "PNG"
            assert min(image.size) > 3 * 32


def test_panels_of_a_parser_need_no_codec_and_no_truth(arrays):
    assert set(figures.draw_panels({k: arrays[k] for k in ("image", "prediction")}, L2S_REGIONS)) == {"segmentation"}
    assert figures.draw_panels({"confusion": arrays["confusion"]}, L2S_REGIONS) == {}


def test_segmentation_rows_follow_the_evidence(arrays):
    whole = figures.segmentation(arrays, L2S_REGIONS)
    bare = figures.segmentation({k: arrays[k] for k in ("image", "prediction")}, L2S_REGIONS)
    errors = overlays.swatches(list(overlays.ERROR_KINDS.values()), 420)
    assert whole.shape[0] - bare.shape[0] == 3 * (128 + image_grid.GAP) + errors.shape[0], "truth, errors and doubt"


def test_swap_rows_show_the_face_and_the_next_face_as_donor():
    image = np.stack([np.full((128, 128, 3), value, np.uint8) for value in (50, 100, 150)])
    swapped = np.full((3, len(L2S_REGIONS), 128, 128, 3), 200, np.uint8)
    panel = figures.swaps(image, swapped, L2S_REGIONS.names)
    left = 16
    for row, (face, donor) in enumerate(((50, 100), (100, 150), (150, 50))):
        y = panel.shape[0] - 16 - (3 - row) * (128 + image_grid.GAP) + image_grid.GAP + 64
        pixels = panel[y, [left + 64, left + 64 + 134, left + 64 + 2 * 134], 0]
        assert pixels.tolist() == [face, donor, 200]


def test_the_triangle_places_its_pictures_row_by_row():
    images = np.stack([np.full((176, 176, 3), 20 * i, np.uint8) for i in range(1, 11)])
    panel = swap_triangle.swap_triangle(images, np.zeros((10, 6), np.uint8), L2S_REGIONS.names)
    height, width = panel.shape[:2]
    gap = image_grid.GAP
    step = (height - 2 * 16 + gap) // 4
    member = 0
    for row in range(4):
        for column in range(row + 1):
            x = width // 2 + round((column - row / 2) * (176 + gap))
            assert panel[16 + row * step + 88, x].tolist() == [20 * (member + 1)] * 3
            member += 1


def test_captions_of_the_triangle_name_every_part_once():
    assert swap_triangle.caption(np.array([0, 0, 1, 1, 2, 2]), L2S_REGIONS.names) == [
        "A: background, hair", "B: skin, nose", "C: eyes, lips",
    ]  # fmt: skip
    assert swap_triangle.caption(np.array([1] * 6), L2S_REGIONS.names) == ["B"]


def test_a_triangle_of_many_parts_and_long_names_is_drawn():
    donors = np.sort(np.arange(190).reshape(10, 19) % 3).astype(np.uint8)
    panel = swap_triangle.swap_triangle(np.zeros((10, 32, 32, 3), np.uint8), donors, ["a name without blanks" * 9] * 19)
    assert panel.shape[1] < 900


def test_rows_of_traversals_are_slices_and_columns_say_where_the_faces_are():
    frames = np.arange(28, dtype=np.uint8).reshape(4, 7, 1, 1, 1) * np.ones((1, 1, 128, 128, 3), np.uint8)
    panel = figures.traversals(frames, np.arange(7, dtype=np.float32) / 3, ["a", "b", "c", "d"])
    titles = ["A", "→", "→", "B", "→", "→", "C"]
    np.testing.assert_array_equal(panel, image_grid.sheet([list(row) for row in frames], ["a", "b", "c", "d"], titles))


def test_many_faces_and_large_faces_make_no_larger_page():
    image = np.zeros((40, 512, 512, 3), np.uint8)
    panel = figures.reconstruction(image, image)
    assert panel.shape[1] <= 1440
