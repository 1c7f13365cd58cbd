"""The counter-based generator: published words, moments, keys."""

import numpy as np

from input_pipeline.synthetic import rng


def test_words_are_splitmix64():
    # Output of the reference implementation (Vigna, splitmix64.c) for seed 1234567.
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    assert rng.words(1234567, 4).tolist() == expected


def test_uniforms_and_normals_have_their_moments():
    uniform, normal, grain = rng.uniforms(3, 200_000), rng.normals(4, 200_000), rng.grain(5, (200_000,))
    assert uniform.min() >= 0.0
    assert uniform.max() < 1.0
    np.testing.assert_allclose([uniform.mean(), uniform.var()], [0.5, 1 / 12], atol=3e-3)
    for values in (normal, grain):
        np.testing.assert_allclose([values.mean(), values.std()], [0.0, 1.0], atol=1e-2)
        assert np.abs(values).max() <= 3.4642


def test_keys_depend_on_every_part_and_its_place():
    keys = {rng.fold(0), rng.fold(0, 1), rng.fold(0, 1, 2), rng.fold(0, 2, 1), rng.fold(0, "a"), rng.fold(1, "a")}
    assert len(keys) == 6
    assert rng.fold(-1, 5) == rng.fold((1 << 64) - 1, 5)  # any integer is a seed
