import numpy as np
import pytest
from scipy import ndimage

from input_pipeline.images.occlusion import MOST, occlude
from input_pipeline.labels import IGNORE


def hidden_by(seed, size=0.4, shape=(60, 80)):
    face = {"image": np.zeros((*shape, 3), np.uint8), "mask": np.zeros(shape, np.uint8)}
    return occlude(face, size=size, label=IGNORE, rng=np.random.default_rng(seed))["mask"] == IGNORE


def test_one_to_three_patches():
    pieces = {ndimage.label(hidden_by(seed, size=0.2), np.ones((3, 3)))[1] for seed in range(40)}
    assert {1, 2, 3} <= pieces <= {0, 1, 2, MOST}


@pytest.mark.parametrize("size", [0.1, 0.4, 1.0])
def test_patches_are_no_longer_than_asked(size):
    longest = 60 * size * np.sqrt(2) + 2  # the diagonal of a rectangle
    for seed in range(20):
        pieces, count = ndimage.label(hidden_by(seed, size), np.ones((3, 3)))
        if count == MOST:  # none of them overlap
            heights = [box[0].stop - box[0].start for box in ndimage.find_objects(pieces)]
            widths = [box[1].stop - box[1].start for box in ndimage.find_objects(pieces)]
            assert max(heights + widths) <= longest


def test_pixels_far_from_patches_stay_and_edges_are_soft():
    face = {"image": np.full((64, 64, 3), 100, np.uint8), "mask": np.zeros((64, 64), np.uint8)}
    soft = 0
    for seed in range(20):
        occluded = occlude(face, size=0.4, label=IGNORE, rng=np.random.default_rng(seed))
        hidden = occluded["mask"] == IGNORE
        far = ~ndimage.binary_dilation(hidden, iterations=8)
        np.testing.assert_array_equal(occluded["image"][far], 100)
        soft += ((occluded["image"] != 100).any(axis=-1) & ~hidden).sum()
    assert soft > 200


def test_patches_are_textured():
    face = {"image": np.zeros((64, 64, 3), np.uint8), "mask": np.zeros((64, 64), np.uint8)}
    spreads = []
    for seed in range(12):
        occluded = occlude(face, size=0.6, label=IGNORE, rng=np.random.default_rng(seed))
        core = ndimage.binary_erosion(occluded["mask"] == IGNORE, iterations=4)
        spreads.append(occluded["image"][core].std(axis=0).mean())
    assert np.median(spreads) > 5


def test_the_generator_alone_decides():
    rng = np.random.default_rng(0)
    face = {
        "image": rng.integers(0, 256, (30, 40, 3), dtype=np.uint8),
        "mask": rng.integers(0, 19, (30, 40), dtype=np.uint8),
        "landmarks": rng.uniform(0, 30, (68, 2)).astype(np.float32),
        "attribute_factors": np.float32([1, 2]),
    }
    before = {key: array.copy() for key, array in face.items()}
    views = [occlude(face, size=0.5, label=None, rng=np.random.default_rng(seed)) for seed in (1, 1, 2)]
    for key in ("mask", "landmarks", "attribute_factors"):
        np.testing.assert_array_equal(views[0][key], face[key])
    np.testing.assert_array_equal(views[0]["image"], views[1]["image"])
    assert (views[0]["image"] != views[2]["image"]).any()
    for key, array in face.items():
        np.testing.assert_array_equal(array, before[key])  # the source's own arrays stay what they are
    unlabelled = occlude({"image": face["image"]}, size=0.5, label=IGNORE, rng=np.random.default_rng(1))
    np.testing.assert_array_equal(unlabelled["image"], views[0]["image"])


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (2, 3)])
def test_tiny_images(shape):
    masks = {size: np.stack([hidden_by(seed, size, shape) for seed in range(20)]) for size in (0.01, 1.0)}
    assert masks[0.01].shape == (20, *shape)
    assert not masks[0.01].any()  # a hundredth of a pixel hides half of none
    assert masks[1.0].any(axis=(1, 2)).sum() > 5
