"""Scenes of faces, and the count of what a detector finds in them."""

import numpy as np

from experiments import finding
from input_pipeline.labels import CELEBAMASK


def portraits():
    """Return one portrait of 64 px whose features lie around (32, 40)."""
    mask = np.zeros((64, 64), np.uint8)
    mask[10:60, 12:52] = CELEBAMASK["skin"]
    for name, (y, x) in {"r_eye": (30, 24), "l_eye": (30, 40), "nose": (40, 32), "u_lip": (50, 32)}.items():
        mask[y - 2 : y + 2, x - 2 : x + 2] = CELEBAMASK[name]
    return [{"image": np.full((64, 64, 3), 200, np.uint8), "mask": mask}]


def test_a_scene_is_the_same_again_and_says_where_its_faces_are():
    source = portraits()
    scenes = [finding.scene(source, number, seed=1) for number in range(24)]
    again = finding.scene(source, 3, seed=1)
    np.testing.assert_array_equal(again.image, scenes[3].image)
    assert {len(scene.sides) for scene in scenes} >= {0, 1, 2}
    for scene in scenes:
        for (x, y), side in zip(scene.middles, scene.sides, strict=True):
            assert finding.LEAST <= side <= finding.MOST
            assert (scene.image[int(y), int(x)] > 190).all()  # the head is there


def test_a_turned_scene_has_its_faces_where_they_lie():
    upright = next(scene for number in range(24) if len((scene := finding.scene(portraits(), number, 1)).sides))
    for quarters in range(4):
        scene = finding.turned(upright, quarters)
        for x, y in scene.middles:
            assert (scene.image[int(y), int(x)] > 190).all()
        back = finding.turned(scene, -quarters % 4)
        np.testing.assert_array_equal(back.image, upright.image)
        np.testing.assert_allclose(back.middles, upright.middles)


def test_a_box_counts_once_and_neither_far_away_nor_of_another_size():
    middles, sides = np.array([[100.0, 100.0], [300.0, 100.0]]), np.array([60.0, 60.0])
    boxes = np.array([[80, 80, 120, 120], [90, 90, 130, 130], [0, 0, 400, 400], [299, 99, 302, 102]], float)
    seen, false = finding.match(boxes, middles, sides)
    assert seen.tolist() == [True, False]
    assert false == 3  # the first face again, one too large, one too small
    assert finding.match(np.empty((0, 4)), middles, sides)[1] == 0


def test_a_detector_is_measured_by_the_size_of_faces():
    def scene(sides):
        middles = np.array([[100.0 + 150 * k, 100.0] for k in range(len(sides))])
        return finding.Scene(np.zeros((480, 640, 3), np.uint8), middles, np.array(sides, float))

    row = finding.measure(lambda _: np.array([[80.0, 80.0, 120.0, 120.0]]), [scene([70, 150]), scene([150, 200])])
    assert (row["small"], row["middle"], row["large"]) == (1.0, 0.5, 0.0)
    assert (row["faces"], row["false_alarms"]) == (4, 0.0)
