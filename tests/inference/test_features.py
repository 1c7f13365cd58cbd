"""The features of trained models: what they are made of, whatever the size of the pictures."""

import jax
import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.inference.features import of_model
from tests.helpers import fake_system


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        fake_system.install(patch)
        folder = tmp_path_factory.mktemp("models")
        for codec in ("none", "all"):
            fake_system.save(folder / codec, codec=codec)
        yield folder


@pytest.fixture(scope="module")
def pictures():
    side = 2 * fake_system.SIDE
    image = fake_system.painted(side, side)[0].astype(np.float32) / 127.5 - 1
    return np.stack([image, image[:, ::-1], np.zeros_like(image)])


def test_a_parser_says_where_its_classes_are(place, pictures):
    features = of_model(place / "none")
    assert features.name.startswith("class probabilities of ")
    found = np.asarray(jax.jit(features.of)(pictures)).reshape(3, 4, 4, len(fake_system.LABELS))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    np.testing.assert_allclose(found[0, :, ::-1], found[1], atol=1e-5)  # a mirrored picture
    assert np.ptp(found[2], axis=(0, 1)).max() < 1e-5  # grey everywhere


def test_a_codec_gives_its_code_with_the_style(place, pictures):
    features = of_model(place / "all")
    assert features.name.startswith("code of ")
    assert "(fake, " in features.name
    found = np.asarray(jax.jit(features.of)(pictures))
    assert found.shape == (3, 4 * 4 * len(fake_system.LABELS) + 3)
    np.testing.assert_allclose(found[:, -3:], pictures.mean((1, 2)), atol=1e-3)


def test_a_model_that_is_not_there_is_named(place):
    with pytest.raises(UserError, match="nowhere"):
        of_model("nowhere")
