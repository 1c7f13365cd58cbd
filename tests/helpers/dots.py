"""Faces drawn as dots whose places are known in the image, in the mask and as landmarks."""

import numpy as np

from input_pipeline.labels import CELEBAMASK, IGNORE

DOT = CELEBAMASK["l_eye"]
# Partners under mirroring stand where partners of the five landmarks stand, so dot k keeps id FIVE[k].
FIVE = tuple(CELEBAMASK[name] for name in ("r_eye", "l_eye", "nose", "r_brow", "l_brow"))


def dot_face(height, width, x, y, radius=6.0):
    """A bright round dot on black; the same dot in the mask; a landmark in its centre."""
    return {
        "image": _image(height, width, [(x, y)], radius),
        "mask": _mask(height, width, [(x, y)], [DOT], radius),
        "landmarks": np.full((5, 2), [x, y], np.float32),
        "attribute_factors": np.float32([1, 2]),
    }


def five_dots(height, width, points, radius=4.0, mask_scale=1):
    """A face of five dots at the five landmarks; its mask may be larger than the image."""
    larger = mask_scale * np.array([height, width])
    return {
        "image": _image(height, width, points, radius),
        "mask": _mask(*larger, mask_scale * np.asarray(points), FIVE, mask_scale * radius),
        "landmarks": np.float32(points),
    }


def centroid(weights):
    """(x, y) with pixel centres at .5."""
    weights = weights.astype(float)
    ys, xs = np.mgrid[: weights.shape[0], : weights.shape[1]] + 0.5
    return np.array([(weights * xs).sum(), (weights * ys).sum()]) / weights.sum()


def assert_dot_at(example, xy, class_id=DOT, image_tolerance=0.05, mask_tolerance=0.35):
    np.testing.assert_allclose(centroid(example["image"][..., 0]), xy, atol=image_tolerance)
    np.testing.assert_allclose(centroid(example["mask"] == class_id), xy, atol=mask_tolerance)
    np.testing.assert_allclose(example["landmarks"], np.broadcast_to(xy, example["landmarks"].shape), atol=1e-3)


def assert_together(example, window, image_tolerance=0.1, mask_tolerance=0.4):
    """Every landmark lies in the middle of its dot, in the image and in the mask.

    Args:
      example: made of `five_dots`, all of which must still be visible.
      window: radius in image pixels that holds a dot and no other one.
      image_tolerance, mask_tolerance: pixels of the image.
    """
    height, width = example["image"].shape[:2]
    ratio = np.divide((width, height), example["mask"].shape[::-1])
    for xy, class_id in zip(example["landmarks"], FIVE, strict=True):
        near = _distance2(height, width, xy) < window**2
        np.testing.assert_allclose(centroid(example["image"][..., 0] * near), xy, atol=image_tolerance)
        np.testing.assert_allclose(ratio * centroid(example["mask"] == class_id), xy, atol=mask_tolerance)
    assert set(np.unique(example["mask"])) <= {0, IGNORE, *FIVE}


def _distance2(height, width, xy):
    xs, ys = np.arange(width) + 0.5, np.arange(height)[:, None] + 0.5
    return (xs - xy[0]) ** 2 + (ys - xy[1]) ** 2


def _image(height, width, points, radius):
    light = sum(250 * np.exp(-_distance2(height, width, xy) / (2 * (radius / 2) ** 2)) for xy in points)
    return np.rint(np.repeat(light[..., None], 3, axis=-1)).clip(0, 255).astype(np.uint8)


def _mask(height, width, points, ids, radius):
    mask = np.zeros((int(height), int(width)), np.uint8)
    for xy, class_id in zip(points, ids, strict=True):
        mask[_distance2(height, width, xy) < radius**2] = class_id
    return mask
