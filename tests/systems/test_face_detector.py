"""The face detector: points of masks, squares, scenes, targets and their way back, refusals, a short training."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from l2s_jax import systems
from l2s_jax.systems.face_detector import network, portraits, targets
from l2s_jax.systems.face_detector.scenes import Faces, Layer, compose, placed
from l2s_jax.training import parallel
from l2s_jax.types import GLOBAL_VIEW, example_rngs
from tests.helpers import drawn_portraits as drawn
from tests.helpers import tiny_detector as tiny
from tests.helpers.steps import compiled, one_device

POINTS = np.array([*drawn.EYES, drawn.NOSE, *drawn.LIPS]) / 64


def test_points_are_read_off_the_mask_whichever_eye_is_called_left():
    masks = np.repeat(drawn.batch(1)["mask"], 3, axis=0)
    masks[1] = CELEBAMASK.flip[masks[1]]
    masks[2][masks[2] == CELEBAMASK["r_eye"]] = CELEBAMASK["skin"]
    found, present = jax.device_get(jax.jit(lambda mask: portraits.points(mask, CELEBAMASK))(masks))
    np.testing.assert_allclose(found[:2, :3], np.stack([POINTS[:3]] * 2), atol=1e-5)
    np.testing.assert_allclose(found[:2, 3:], np.stack([POINTS[3:]] * 2), atol=0.02)  # a corner is a few pixels
    np.testing.assert_array_equal(present, [[1] * 5, [1] * 5, [0, 1, 1, 1, 1]])
    np.testing.assert_allclose(found[2, 1:], found[0, 1:], atol=1e-6)


def test_the_square_of_a_turned_face_is_that_of_the_aligned_one():
    angle = np.radians(25)
    turn = 80 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    moved = portraits.ALIGNED @ turn + np.array([30, -7])
    present = np.float32([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1]])
    found = np.where(present[..., None] > 0, moved[None, 1:], 1000)
    fitted, side = jax.jit(portraits.squares)(found.astype(np.float32), present)
    np.testing.assert_allclose(side, 80, rtol=1e-4)
    np.testing.assert_allclose(fitted, np.stack([moved] * 2), atol=0.02)


def test_a_portrait_lies_where_it_is_put():
    layer = Layer(jnp.array([8.0, 16.0]), jnp.float32(32), jnp.ones(()))
    picture = jax.jit(placed, static_argnums=2)(jnp.ones((64, 64, 1)), layer, 64)
    expected = np.zeros((64, 64, 1))
    expected[16:48, 8:40] = 1
    np.testing.assert_allclose(picture, expected, atol=1e-5)


@functools.cache
def scenes(padding=0):
    """The scenes of a batch whose last rows are padding, all white."""
    batch = drawn.batch(32)
    if padding:
        batch["weight"][-padding:], batch["image"][-padding:] = 0, 1
        batch["mask"][-padding:] = 255
    key = example_rngs(jax.random.key(0), GLOBAL_VIEW, 32)
    composed = jax.jit(lambda keys, batch: compose(keys, batch, CELEBAMASK, GLOBAL_VIEW.local_rows))
    image, faces = jax.device_get(composed(key, batch))
    return image, faces


def test_faces_are_where_the_targets_say():
    image, faces = scenes()
    whole = faces.whole > 0
    assert 30 < whole.sum() < 128
    assert not (whole & (faces.hidden > 0)).any()
    colours = [drawn.COLOURS[name] for name in ("r_eye", "l_eye", "nose")]
    right = []
    for scene, face in np.argwhere(whole & (faces.side > 20)):
        for (x, y), colour in zip(faces.points[scene, face, 1:4], colours, strict=True):
            if min(x, y) > 1 and max(x, y) < 63:
                right.append(np.abs(image[scene, int(y), int(x)] - colour).max() < 0.75)
    assert len(right) > 60
    assert np.mean(right) > 0.9  # one point of a face may be hidden


def test_the_side_is_that_of_the_aligned_portrait():
    _, faces = scenes()
    eyes = np.linalg.norm(faces.points[..., 2, :] - faces.points[..., 1, :], axis=-1)
    _, share = jax.jit(portraits.squares)(POINTS[None].astype(np.float32), np.ones((1, 5), np.float32))
    np.testing.assert_allclose(eyes / faces.side, 16 / 64 / share[0], rtol=0.02)


def test_padding_is_in_no_other_scene():
    image, faces = scenes(padding=3)
    white = (image[:29] > 0.99).all(-1)
    assert not white.any()
    assert not faces.whole[-3:, 0].any()


def test_what_the_targets_say_is_read_back_and_costs_nothing():
    middle = np.float32([[[20, 12], [45, 45], [0, 0]]])
    side = np.float32([[20, 40, 10]])
    points = middle[:, :, None] + side[..., None, None] * (portraits.ALIGNED - 0.5)
    faces = Faces(points, np.ones((1, 3, 6), np.float32), side, np.float32([[1, 1, 0]]), np.zeros((1, 3), np.float32))
    at = np.asarray(network.cells(8, 8))
    outputs = np.zeros((1, 8, 8, 14), np.float32)
    outputs[..., 0] = -20
    nearest = np.argmin([[np.abs(at - m).max(-1)] for m in middle[0, :2]], axis=0)[0]
    for k in (0, 1):
        mine = nearest == k
        outputs[0, mine, 1] = np.log(side[0, k] / network.UNIT)
        outputs[0, mine, 2:] = ((points[0, k] - at[mine][:, None]) / side[0, k]).reshape(-1, 12)
    outputs[0, 1, 2, 0], outputs[0, 5, 5, 0] = 20, 19
    found = jax.device_get(jax.jit(network.faces)(outputs))
    np.testing.assert_array_equal(found.score[0] > 0.5, np.arange(32) < 2)
    np.testing.assert_allclose(found.middle[:, :2], middle[:, :2], rtol=1e-4)
    np.testing.assert_allclose(found.side[:, :2], side[:, :2], rtol=1e-4)
    np.testing.assert_allclose(found.points[:, :2], points[:, :2, 1:], rtol=1e-3)
    losses = jax.jit(lambda *arrays: targets.terms(*arrays, GLOBAL_VIEW.psum))
    assert max(jax.device_get(losses(outputs, faces, np.ones(1, np.float32))).values()) < 1e-4
    outputs[0, 0, 0, 0] = 3  # a false alarm costs: sigmoid(3)^2 * log(1 + e^3) for two faces
    one = losses(outputs, faces, np.ones(1, np.float32))["heat"]
    assert one == pytest.approx((1 / (1 + np.exp(-3))) ** 2 * np.log1p(np.exp(3)) / 2, rel=0.02)
    half = faces._replace(hidden=np.float32([[0, 0, 1]]), side=np.float32([[20, 40, 20]]))
    assert losses(outputs, half, np.ones(1, np.float32))["heat"] < 1e-4  # where a face is half hidden, it does not


def test_a_detector_learns_to_find_faces():
    system = systems.build(tiny.config(train__steps=150))
    step = compiled(system.steps["train"])
    state = parallel.init_state(system.init, jax.random.key(0), one_device())
    for number in range(150):
        state, metrics = step(state.replace(step=jnp.int32(number)), drawn.batch(8, seed=number))
    assert set(metrics) == {"loss", "heat", "side", "points"}
    variables = system.variables(state)
    collect, batch = jax.jit(system.scorer.collect), drawn.batch(16, seed=1000)
    untrained = system.scorer.untrained(variables, jax.random.key(1))
    rows, before = (jax.device_get(collect(each, batch)) for each in (variables, untrained))
    summary = system.scorer.summary(rows, before)["faces"]
    json.dumps(summary, allow_nan=False)
    assert {*system.scorer.names} <= {f"faces.{name}" for name in summary}
    assert summary["average_precision"] > 0.4
    assert max(summary[name]["average_precision"] for name in ("middle", "untrained")) < 0.1
    assert summary["landmark_error"] < 0.15  # in sides
    (pictures,) = jax.jit(system.scorer.pictures)(variables, batch).values()
    assert pictures.shape == (2, 8, tiny.SIZE, tiny.SIZE, 3)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"image_size": 80}, "image_size=80 must be a multiple of 32"),
        ({"model__widths": (8, 8)}, r"model\.widths=\(8, 8\) must be 4 numbers, one a stage"),
        ({"label_set": "skin_hair"}, "unknown region 'r_eye' of label set 'skin_hair'"),
    ],
)
def test_configs_that_do_not_fit_are_named(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        systems.build(tiny.config(**changes))
