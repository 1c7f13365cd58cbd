"""Edits of codes: which slices move, how far, and that the rest stays as it is, bit by bit; all of it jitted."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from l2s_jax import codes
from l2s_jax.types import Code

K, SIDE, CHANNELS, STYLES = 4, 3, 2, 5


def code(seed: int, batch: int = 1, sliced: bool = True) -> Code:
    rng = np.random.default_rng(seed)
    structure = rng.normal(size=(batch, K, SIDE, SIDE, CHANNELS)).astype(np.float32)
    style = rng.normal(size=(batch, K, STYLES) if sliced else (batch, STYLES)).astype(np.float32)
    return Code(jnp.asarray(structure), jnp.asarray(style))


def same(a: Code, b: Code) -> bool:
    return all(jax.tree.leaves(jax.tree.map(lambda x, y: bool((x == y).all()), a, b)))


def row(batch: Code, n: int) -> Code:
    return jax.tree.map(lambda x: x[n : n + 1], batch)


def test_split_gives_the_rows():
    batch = code(0, batch=3)
    parts = codes.split(batch)
    assert len(parts) == 3
    assert all(same(part, row(batch, n)) for n, part in enumerate(parts))


def test_styles_go_without_structures():
    a, b = code(0), code(1)
    mixed = jax.jit(codes.swap_styles, static_argnums=2)(a, b, (1, 3))
    np.testing.assert_array_equal(mixed.structure, a.structure)
    np.testing.assert_array_equal(mixed.style[:, [1, 3]], b.style[:, [1, 3]])
    np.testing.assert_array_equal(mixed.style[:, [0, 2]], a.style[:, [0, 2]])


def test_noise_has_the_deviation_that_is_asked_for_and_stays_in_its_slices():
    rng = np.random.default_rng(0)
    style = rng.normal(5.0, 3.0, (1, K, 20_000)).astype(np.float32)
    face = Code(code(0).structure, jnp.asarray(style))
    noisy = jax.jit(codes.perturb_styles, static_argnums=1)(face, (2,), 0.5, jax.random.key(1))
    np.testing.assert_array_equal(noisy.structure, face.structure)
    np.testing.assert_array_equal(noisy.style[:, [0, 1, 3]], style[:, [0, 1, 3]])
    assert np.std(noisy.style[0, 2] - style[0, 2]) == pytest.approx(0.5 * 3.0, rel=0.02)
    again = codes.perturb_styles(face, (2,), 0.5, jax.random.key(1))
    np.testing.assert_allclose(again.style, noisy.style, atol=1e-5)
    other = codes.perturb_styles(face, (2,), 0.5, jax.random.key(2))
    assert np.abs(other.style - noisy.style).max() > 1


@pytest.mark.parametrize("sliced", [True, False])
def test_a_walk_begins_and_ends_at_the_faces(sliced):
    a, b = code(0, sliced=sliced), code(1, sliced=sliced)
    walk = jax.jit(functools.partial(codes.interpolate, slices=tuple(range(K)), steps=5))(a, b)
    assert walk.structure.shape[0] == walk.style.shape[0] == 5
    assert same(row(walk, 0), a)
    assert same(row(walk, 4), b)
    np.testing.assert_allclose(row(walk, 2).structure, (a.structure + b.structure) / 2, atol=1e-6)
    np.testing.assert_allclose(row(walk, 1).style, 0.75 * a.style + 0.25 * b.style, atol=1e-6)


def test_a_walk_in_one_region_leaves_the_others():
    a, b = code(0), code(1)
    walk = codes.interpolate(a, b, [2], 3)
    rest = [0, 1, 3]
    for n in range(3):
        np.testing.assert_array_equal(walk.structure[n, rest], a.structure[0, rest])
        np.testing.assert_array_equal(walk.style[n, rest], a.style[0, rest])
    np.testing.assert_array_equal(walk.structure[2, 2], b.structure[0, 2])
    np.testing.assert_array_equal(walk.style[2, 2], b.style[0, 2])
    shared = codes.interpolate(code(0, sliced=False), code(1, sliced=False), [2], 3)
    np.testing.assert_array_equal(shared.style, np.repeat(code(0, sliced=False).style, 3, axis=0))


def test_the_points_of_a_triangle():
    weights = codes.triangle_weights(3)
    expected = [[1, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 1, 0], [0, 0.5, 0.5], [0, 0, 1]]
    np.testing.assert_allclose(weights, expected)


@pytest.mark.parametrize("slices", [1, 2, 3, 6, 7])
@pytest.mark.parametrize("side", [2, 3, 4, 7])
def test_the_nearer_a_corner_the_more_of_its_slices(side, slices):
    weights = codes.triangle_weights(side)
    owners = codes.triangle_owners(weights, slices)
    assert owners.shape == (side * (side + 1) // 2, slices)
    given = np.stack([(owners == k).sum(axis=1) for k in range(3)], axis=1)
    assert np.abs(given - slices * weights).max() <= 1
    assert (given[weights == 0] == 0).all()  # on an edge two give, at a corner one
    for corner in (0, side * (side - 1) // 2, -1):
        assert len(set(owners[corner])) == 1


def test_a_triangle_of_six_slices_by_hand():
    owners = codes.triangle_owners(codes.triangle_weights(4), 6)
    assert owners.tolist() == [
        [0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 2, 2],
        [0, 0, 1, 1, 1, 1],
        [0, 0, 1, 1, 2, 2],
        [0, 0, 2, 2, 2, 2],
        [1, 1, 1, 1, 1, 1],
        [1, 1, 1, 1, 2, 2],
        [1, 1, 2, 2, 2, 2],
        [2, 2, 2, 2, 2, 2],
    ]


def test_faces_are_put_together_of_slices_and_their_styles():
    faces, owners = code(0, batch=3), np.array([[0, 1, 2, 1], [2, 2, 2, 2]])
    mixed = jax.jit(lambda x: codes.combine(x, owners, np.full((2, 3), 1 / 3)))(faces)
    for n in range(2):
        for k in range(K):
            np.testing.assert_array_equal(mixed.structure[n, k], faces.structure[owners[n, k], k])
            np.testing.assert_array_equal(mixed.style[n, k], faces.style[owners[n, k], k])


def test_a_shared_style_is_the_weighted_mean_and_a_corners_own():
    faces, weights = code(0, batch=3, sliced=False), codes.triangle_weights(2)
    mixed = codes.combine(faces, codes.triangle_owners(weights, K), weights)
    np.testing.assert_allclose(mixed.style, faces.style, atol=1e-6)
    half = codes.combine(faces, np.zeros((1, K), int), np.array([[0.5, 0.5, 0]]))
    np.testing.assert_allclose(half.style[0], (faces.style[0] + faces.style[1]) / 2, atol=1e-6)


def test_leading_directions_of_samples_on_known_axes():
    """Four samples on the axes of two numbers, 3 and 1 apart from the mean: deviations sqrt(18 / 3) and sqrt(2 / 3)."""
    samples = np.zeros((4, 2, 3))
    samples[0, 0, 1], samples[1, 0, 1], samples[2, 1, 2], samples[3, 1, 2] = 3, -3, 1, -1
    found = codes.principal_directions(samples + 7, 2)
    assert (found.shape, found.dtype) == ((2, 2, 3), np.float32)
    expected = np.zeros((2, 2, 3))
    expected[0, 0, 1], expected[1, 1, 2] = np.sqrt(18 / 3), np.sqrt(2 / 3)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_samples_differ_in_one_direction():
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 0.0, 4.0])
    (found,) = codes.principal_directions(np.stack([a, b]), 1)
    np.testing.assert_allclose(found, (a - b) / np.sqrt(2), atol=1e-6)


def test_random_directions_of_a_style_are_as_large_as_it_is():
    own = jnp.asarray(np.random.default_rng(0).normal(2.0, 3.0, 10_000), jnp.float32)
    found = jax.jit(codes.random_directions, static_argnums=1)(own, 2, jax.random.key(0))
    assert found.shape == (2, 10_000)
    np.testing.assert_allclose(np.std(found, axis=1), 3.0, rtol=0.05)
    assert abs(np.corrcoef(found)[0, 1]) < 0.05


def test_random_directions_of_a_structure_stay_where_it_is():
    own = code(0).structure[0, 0].at[0].set(0.0).at[..., 1].set(0.0)
    found = codes.random_directions(own, 3, jax.random.key(0))
    assert found.shape == (3, *own.shape)
    assert not np.asarray(found)[:, np.asarray(own) == 0].any()
    gain = np.asarray(found)[:, 1:, :, 0] / np.asarray(own)[None, 1:, :, 0]
    np.testing.assert_allclose(gain, gain[:, :1, :1].repeat(2, 1).repeat(3, 2), rtol=1e-5)  # one gain a channel


@pytest.mark.parametrize(("walk", "half"), [(codes.traverse_structure, "structure"), (codes.traverse_style, "style")])
def test_traversals_pass_through_the_face(walk, half):
    face = code(0)
    own = getattr(face, half)[0, 1]
    direction = jnp.ones_like(own)
    steps = jax.jit(walk, static_argnums=(1, 4))(face, 1, direction, 2.0, 5)
    for n, t in enumerate((-2.0, -1.0, 0.0, 1.0, 2.0)):
        np.testing.assert_allclose(getattr(steps, half)[n, 1], own + t, atol=1e-6)
    assert same(row(steps, 2), face)
    rest, other = [0, 2, 3], "style" if half == "structure" else "structure"
    for n in range(5):
        np.testing.assert_array_equal(getattr(steps, half)[n, rest], getattr(face, half)[0, rest])
        np.testing.assert_array_equal(getattr(steps, other)[n], getattr(face, other)[0])
