"""A drawing of closed smooth contours, before rasterisation."""

import dataclasses

import numpy as np

from input_pipeline.synthetic.pose import HEAD, Pose

SIDES = (("l", 1), ("r", -1))
"""The subject's left is the image's right: name prefix and sign of x."""


@dataclasses.dataclass(frozen=True)
class _Ring:
    points: np.ndarray
    kind: int
    side: int
    tension: float
    sign: float


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Posed contours.

    Attributes:
      parts: names; part p owns the rings `ring_part == p`, which are contiguous.
      vertices: float64 [2, V] x and y in image sides, ring after ring.
      ring_sizes: int [R] vertices of each ring.
      ring_part: int [R], ascending.
      ring_sign: float64 [R], +1 adds area to the part, -1 cuts a hole.
      anchors: named float64 [n, 2] points in image sides.
    """

    parts: tuple[str, ...]
    vertices: np.ndarray
    ring_sizes: np.ndarray
    ring_part: np.ndarray
    ring_sign: np.ndarray
    anchors: dict[str, np.ndarray]


class Sketch:
    """Contours and anchors in head, body or image coordinates; `pose` turns them into a Drawing."""

    def __init__(self):
        self._rings: dict[str, list[_Ring]] = {}
        self._anchors: dict[str, _Ring] = {}

    def ring(
        self, part: str, points, kind: int = HEAD, side: int = 1, *, smooth: bool = True, hole: bool = False
    ) -> None:
        """Add a closed contour to a part (several rings of one part are united).

        Args:
          part: name of the part.
          points: [n, 3] control points; a smooth contour passes through them as a Catmull-Rom spline.
          kind: the kind of the coordinates (see pose.py).
          side: -1 mirrors a contour drawn for the image-right half.
          smooth: False draws straight edges.
          hole: the contour cuts out of the part.
        """
        ring = _Ring(np.asarray(points, np.float64), kind, side, 0.5 if smooth else 0.0, -1.0 if hole else 1.0)
        self._rings.setdefault(part, []).append(ring)

    def pair(self, part: str, points, kind: int = HEAD) -> None:
        """Add a contour and its mirror image to one part."""
        for _, side in SIDES:
            self.ring(part, points, kind, side)

    def anchor(self, name: str, points, kind: int = HEAD, side: int = 1) -> None:
        """Name one [3] or several [n, 3] points whose image positions are needed later."""
        self._anchors[name] = _Ring(np.asarray(points, np.float64).reshape(-1, 3), kind, side, 0.0, 0.0)

    def pose(self, pose: Pose, samples: int) -> Drawing:
        """Project all points at once and sample the splines at `samples` vertices per control point."""
        rings = [ring for group in self._rings.values() for ring in group]
        everything = rings + list(self._anchors.values())
        lengths = np.array([len(r.points) for r in everything])
        x, y, z = np.concatenate([r.points for r in everything]).T
        settings = np.array([(r.side, r.tension, r.kind) for r in everything])
        side, tension, kind = np.repeat(settings.T, lengths, axis=1)
        flat = pose.project(side * x, y, z, kind)

        sizes = lengths[: len(rings)]
        count = int(sizes.sum())
        starts = (np.cumsum(lengths) - lengths)[len(rings) :]
        anchors = {
            name: flat[:, start : start + len(ring.points)].T
            for (name, ring), start in zip(self._anchors.items(), starts.tolist(), strict=True)
        }
        return Drawing(
            parts=tuple(self._rings),
            vertices=_spline(flat[:, :count], sizes, tension[:count], samples),
            ring_sizes=sizes * samples,
            ring_part=np.repeat(np.arange(len(self._rings)), [len(g) for g in self._rings.values()]),
            ring_sign=np.array([r.sign for r in rings]),
            anchors=anchors,
        )


def neighbours(sizes: np.ndarray) -> np.ndarray:
    """Return the index of the next point of the same closed ring: int [sum(sizes)]."""
    following = np.arange(1, int(sizes.sum()) + 1)
    ends = np.cumsum(sizes)
    following[ends - 1] = ends - sizes
    return following


def _spline(points: np.ndarray, sizes: np.ndarray, tension: np.ndarray, samples: int) -> np.ndarray:
    """Sample cubic Hermite curves through closed rings [2, M] -> [2, M * samples].

    The tangent at a point is `tension` times the chord between its neighbours.
    """
    following = neighbours(sizes)
    after = points[:, following]
    before = np.empty_like(points)
    before[:, following] = points
    tangent = tension * (after - before)
    step, arriving = after - points, tangent[:, following]
    curve = np.empty((2, points.shape[1], samples))
    for k in range(samples):
        t = k / samples
        ease, leave, arrive = t * t * (3.0 - 2.0 * t), t * (1.0 - t) * (1.0 - t), t * t * (t - 1.0)
        curve[:, :, k] = points + ease * step + leave * tangent + arrive * arriving if k else points
    return curve.reshape(2, -1)
