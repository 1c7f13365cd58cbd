"""A network that saw faces warped by their landmarks, as a parser of photos."""

import functools
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from input_pipeline.errors import UserError
from input_pipeline.landmarks import TEMPLATE
from l2s_jax import bundle, systems
from l2s_jax.inference.model import Model
from l2s_jax.inference.parser import Parser
from tests.helpers import tiny_segface

SIDE = tiny_segface.SIZE
HEIGHT, WIDTH = 64, 128  # in float32, landmarks are halved and quartered without rounding


def lively(rng, leaf):
    """Weights that let the picture through: initial ones answer almost the same everywhere."""
    numbers = rng.normal(0, 1, leaf.shape)
    fan_in = np.prod(leaf.shape[:-1])
    return np.float32(2 * numbers / np.sqrt(fan_in) if len(leaf.shape) > 1 else 1 + 0.1 * numbers)


@pytest.fixture(scope="module")
def model():
    config = tiny_segface.config(model__warp="published")
    system = systems.build(config)
    shapes = jax.eval_shape(lambda: system.variables(system.init(jax.random.key(0))))
    variables = jax.tree.map(functools.partial(lively, np.random.default_rng(0)), shapes)
    meta = bundle.Meta(
        name="warped",
        system="segface",
        config=config.to_dict(),
        label_set=system.label_set,
        preprocessing=bundle.Preprocessing(SIDE, resize="stretch-bicubic"),
        licence="Apache-2.0",
    )
    return Model(Path("warped"), meta, config, system, variables)


@pytest.fixture(scope="module")
def parser(model):
    return Parser(model)


@pytest.fixture(scope="module")
def photo():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def by_hand(parser, photo, landmarks):
    square = np.asarray(Image.fromarray(photo).resize((SIDE, SIDE), Image.Resampling.BICUBIC), np.float32)
    if landmarks is not None:
        landmarks = np.float32(landmarks * (SIDE / WIDTH, SIDE / HEIGHT))[None]
    probabilities = parser.probabilities(square[None] / 127.5 - 1, landmarks)[0]
    planes = [np.array(plane) for plane in np.moveaxis(np.asarray(probabilities), -1, 0)]
    return np.stack([np.asarray(Image.fromarray(p).resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR)) for p in planes])


def test_landmarks_of_the_photo_reach_the_warp_and_without_them_it_is_parsed_as_it_is(parser, photo):
    points = np.rint(TEMPLATE * (0.7 * WIDTH, 0.7 * HEIGHT) + (15, 3))
    planes = {}
    for name, landmarks in (("warped", points), ("as it is", None)):
        parsing = parser(photo, landmarks)
        planes[name] = by_hand(parser, photo, landmarks)
        np.testing.assert_allclose(parsing.confidence, planes[name].max(axis=0), atol=1e-5)
        chosen = np.take_along_axis(planes[name], parsing.ids[None].astype(int), axis=0)[0]
        np.testing.assert_allclose(chosen, planes[name].max(axis=0), atol=1e-5)
    assert np.abs(planes["warped"] - planes["as it is"]).max() > 1e-2


def test_landmarks_of_no_known_scheme_are_one_sentence(parser, photo):
    with pytest.raises(UserError, match="faces of 7 landmarks cannot be aligned"):
        parser(photo, np.ones((7, 2)))
