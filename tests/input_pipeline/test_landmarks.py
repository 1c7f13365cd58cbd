import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.landmarks import TEMPLATE, alignment_matrix, five_points, mirror_order, similarity
from input_pipeline.synthetic import render

# Which of the 106 JD points are the 68 of iBUG (both schemes are published with pictures of all their points).
IBUG_IN_JD = [
    *range(0, 33, 2),  # every other point of the contour
    *(33, 34, 35, 36, 37, 42, 43, 44, 45, 46),  # upper edges of the brows
    *(51, 52, 53, 54, 58, 59, 60, 61, 62),  # bridge and base of the nose
    *(66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82),  # corners and lids without their middles
    *range(84, 104),  # lips
]


def ring(x, y, rx, ry, count, start=0.0, share=1.0):
    """`count` points on an ellipse, clockwise as seen, from its left end (`share` of the round)."""
    angle = np.pi + 2 * np.pi * (start + share * np.arange(count) / count)
    return np.stack([x + rx * np.cos(angle), y + ry * np.sin(angle)], axis=-1)


def symmetric_face():
    """The 106 points of a face that is its own mirror image about x = 0, drawn part by part as the scheme counts."""
    below = np.pi * np.linspace(0, 1, 33)  # the contour runs from the left of the image over the chin to the right
    contour = np.stack([-np.cos(below), 1.2 * np.sin(below)], axis=-1)
    upper, lower = [(-0.8, -0.5), (-0.65, -0.6), (-0.5, -0.63), (-0.35, -0.6), (-0.2, -0.5)], [-0.22, -0.37, -0.5, -0.7]
    brow = np.array([*upper, *((x, -0.47 + 0.1 * x) for x in lower)])  # outer to inner end, back to the outer end
    other_brow = np.concatenate([brow[4::-1], brow[:4:-1]]) * (-1, 1)  # inner to outer end, back to the inner end
    bridge = [(0, -0.3), (0, -0.15), (0, 0), (0, 0.15)]
    side = np.array([(-0.1, -0.3), (-0.12, 0.05), (-0.2, 0.2)])
    base = [(-0.15, 0.25), (-0.07, 0.28), (0, 0.3), (0.07, 0.28), (0.15, 0.25)]
    nose = [*bridge, *side, *base, *(side[::-1] * (-1, 1))]
    eyes = [np.concatenate([ring(x, -0.3, 0.15, 0.08, 8), [(x, -0.31)]]) for x in (-0.45, 0.45)]
    lips = [*ring(0, 0.6, 0.35, 0.15, 12), *ring(0, 0.6, 0.25, 0.05, 8)]
    return np.concatenate([contour, brow, other_brow, nose, *eyes, lips, [(-0.45, -0.3), (0.45, -0.3)]])


def schemes():
    face = symmetric_face()
    ibug = face[IBUG_IN_JD]
    return {
        5: five_points(ibug),
        68: ibug,
        70: np.concatenate([ibug, [(-0.44, -0.3), (0.44, -0.3)]]),
        106: face,
    }


@pytest.mark.parametrize("count", [5, 68, 70, 106])
def test_mirrored_points_fall_onto_their_partners(count):
    points = schemes()[count]
    assert len(points) == count
    assert len(np.unique(points.round(9), axis=0)) == count  # otherwise a wrong partner could hide
    np.testing.assert_allclose((points * (-1, 1))[mirror_order(count)], points, atol=1e-12)


@pytest.mark.parametrize("count", [5, 68, 70, 106])
def test_mirroring_twice_is_nothing(count):
    order = mirror_order(count)
    np.testing.assert_array_equal(order[order], np.arange(count))


def test_the_points_that_jd_shares_with_ibug_are_mirrored_alike():
    np.testing.assert_array_equal(mirror_order(106)[IBUG_IN_JD], np.array(IBUG_IN_JD)[mirror_order(68)])


def test_partners_in_106_that_every_source_agrees_on():
    order = mirror_order(106)
    for pair in [(0, 32), (33, 46), (38, 50), (66, 79), (70, 75), (72, 81), (74, 83), (84, 90), (104, 105)]:
        assert order[pair[0]] == pair[1]
    assert set(np.flatnonzero(order == np.arange(106))) == {16, 51, 52, 53, 54, 60, 87, 93, 98, 102}


def test_the_mirror_of_an_unknown_scheme():
    with pytest.raises(UserError, match="faces of 29 landmarks cannot be mirrored"):
        mirror_order(29)


@pytest.mark.parametrize("count", [5, 68, 70, 106])
def test_five_points_of_a_symmetric_face(count):
    points = five_points(schemes()[count])
    expected = [(-0.45, -0.3), (0.45, -0.3), (0, 0.15), (-0.35, 0.6), (0.35, 0.6)]
    np.testing.assert_allclose(points, expected, atol=0.006)


def test_five_points_published_choice():
    points = np.arange(212.0).reshape(106, 2)
    np.testing.assert_array_equal(five_points(points)[:, 0] / 2, [89, 94, 54, 84, 90])
    np.testing.assert_array_equal(five_points(points[:68])[:, 0] / 2, [38.5, 44.5, 30, 48, 54])
    np.testing.assert_array_equal(five_points(points[:70]), five_points(points[:68]))
    np.testing.assert_array_equal(five_points(points[:5]), points[:5])


@pytest.mark.parametrize("count", [5, 68, 70, 106])
def test_five_points_of_a_mirrored_face_are_the_mirrored_five_points(count):
    points = np.random.default_rng(count).uniform(0, 100, (count, 2))
    mirrored = (points * (-1, 1))[mirror_order(count)]
    np.testing.assert_allclose(five_points(mirrored), (five_points(points) * (-1, 1))[mirror_order(5)], atol=1e-12)


def test_five_points_of_rendered_faces_lie_in_their_parts():
    """The image-left eye is the subject's right one."""
    for index in range(6):
        face = render(seed=0, index=index, size=128)
        left_eye, right_eye, nose, left_corner, right_corner = five_points(face["landmarks"])
        assert left_eye[0] < nose[0] < right_eye[0]
        assert left_corner[0] < right_corner[0]
        assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_corner[1], right_corner[1])


def test_five_points_of_an_unknown_scheme():
    with pytest.raises(UserError, match="faces of 29 landmarks cannot be aligned: known are those of 5, 68, 70, 106"):
        five_points(np.zeros((29, 2)))


@pytest.mark.parametrize(("degrees", "scale", "shift"), [(0, 1, (0, 0)), (31, 2.5, (-7, 90)), (-170, 0.1, (3, 4))])
def test_similarity_finds_the_map_that_made_the_targets(degrees, scale, shift):
    angle = np.deg2rad(degrees)
    linear = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    points = np.random.default_rng(0).uniform(0, 50, (5, 2))
    matrix = similarity(points, points @ linear.T + shift)
    np.testing.assert_allclose(matrix, np.column_stack([linear, shift]), atol=1e-9)


def umeyama(points, targets):
    """Equations 38 to 43 of Umeyama (PAMI 1991)."""
    p, q = points - points.mean(axis=0), targets - targets.mean(axis=0)
    u, d, vt = np.linalg.svd(q.T @ p / len(p))
    s = np.array([1, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    linear = (u * s) @ vt * (d * s).sum() / (p**2).sum(axis=1).mean()
    return np.column_stack([linear, targets.mean(axis=0) - linear @ points.mean(axis=0)])


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_similarity_is_that_of_umeyama(seed, mirrored):
    """Also for points that are nearly the mirror image of their targets, where a reflection would fit better."""
    rng = np.random.default_rng(seed)
    points = TEMPLATE * 200 + rng.normal(0, 6, (5, 2))
    targets = TEMPLATE * 512 * (-1 if mirrored else 1, 1)
    matrix = similarity(points, targets)
    np.testing.assert_allclose(matrix, umeyama(points, targets), rtol=1e-9, atol=1e-9)
    assert np.linalg.det(matrix[:, :2]) > 0


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan), [[0, 0]] * 4 + [[np.inf, 0]]])
def test_points_that_say_nothing(points):
    with np.errstate(invalid="ignore"), pytest.raises(UserError, match="all in one place or not finite"):
        similarity(points, TEMPLATE)


def test_alignment_puts_a_template_face_where_the_template_is():
    matrix = alignment_matrix(TEMPLATE * 100 + 30, TEMPLATE, 256)
    np.testing.assert_allclose(matrix, [[2.56, 0, -76.8], [0, 2.56, -76.8]], atol=1e-9)
    np.testing.assert_allclose(TEMPLATE[0] * 512, [196, 226])
    np.testing.assert_allclose(TEMPLATE[4] * 512, [292, 360.4])


def test_alignment_of_a_mirrored_face_is_the_mirrored_alignment():
    """The template is symmetric, so augmentation by mirroring commutes with alignment."""
    points = TEMPLATE * 100 + np.random.default_rng(2).normal(20, 3, (5, 2))
    mirrored = ((200, 0) + points * (-1, 1))[mirror_order(5)]
    aligned, other = alignment_matrix(points, TEMPLATE, 64), alignment_matrix(mirrored, TEMPLATE, 64)
    np.testing.assert_allclose(other @ (200 - 13, 8, 1), [64 - (aligned @ (13, 8, 1))[0], (aligned @ (13, 8, 1))[1]])
