"""A drawing of closed smooth contours, before it becomes pixels."""

import dataclasses

import numpy as np

from input_pipeline.synthetic.pose import HEAD, Pose

_SAMPLES = 5  # vertices per control point


def _hermite(samples: int) -> tuple[np.ndarray, ...]:
    t = np.arange(samples) / samples
    return 1 - 3 * t**2 + 2 * t**3, t - 2 * t**2 + t**3, 3 * t**2 - 2 * t**3, t**3 - t**2


_BASIS = _hermite(_SAMPLES)


@dataclasses.dataclass(frozen=True)
class Drawing:
    """Posed contours.

    Attributes:
      parts: names; part p owns the rings `ring_part == p`, which are contiguous.
      vertices: float64 [V, 2] (x, y) in image sides, ring after ring.
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
    """Collects contours and anchors in head, body or image coordinates; `pose` turns them into a Drawing."""

    def __init__(self):
        self._rings: dict[str, list[tuple[np.ndarray, int, float, float]]] = {}
        self._anchors: dict[str, tuple[np.ndarray, int]] = {}

    def ring(self, part: str, points, kind: int = HEAD, *, smooth: bool = True, hole: bool = False) -> None:
        """Adds a closed contour to a part (several rings of one part are united).

        Args:
          part: name of the part.
          points: [n, 3] control points; a smooth contour passes through them as a Catmull-Rom spline.
          kind: what the coordinates mean (see pose.py).
          smooth: False draws straight edges.
          hole: the contour cuts out of the part.
        """
        points = np.asarray(points, np.float64)
        self._rings.setdefault(part, []).append((points, kind, 0.5 if smooth else 0.0, -1.0 if hole else 1.0))

    def anchor(self, name: str, points, kind: int = HEAD) -> None:
        """Names one [3] or several [n, 3] points whose image positions are needed later."""
        self._anchors[name] = (np.asarray(points, np.float64).reshape(-1, 3), kind)

    def pose(self, pose: Pose) -> Drawing:
        """Projects everything at once and samples the splines."""
        rings = [ring for group in self._rings.values() for ring in group]
        sizes = np.array([len(r[0]) for r in rings])
        marks = [(name, len(points)) for name, (points, _) in self._anchors.items()]
        groups = [(p, k) for p, k, _, _ in rings] + list(self._anchors.values())
        points = np.concatenate([p for p, _ in groups])
        kinds = np.repeat([k for _, k in groups], [len(p) for p, _ in groups])
        flat = pose.project(points, kinds)

        count = int(sizes.sum())
        anchors, at = {}, count
        for name, size in marks:
            anchors[name] = flat[at : at + size]
            at += size
        return Drawing(
            parts=tuple(self._rings),
            vertices=_spline(flat[:count], sizes, np.repeat([r[2] for r in rings], sizes)),
            ring_sizes=sizes * _SAMPLES,
            ring_part=np.repeat(np.arange(len(self._rings)), [len(g) for g in self._rings.values()]),
            ring_sign=np.array([r[3] for r in rings]),
            anchors=anchors,
        )


def neighbours(sizes: np.ndarray) -> np.ndarray:
    """int [sum(sizes)]: index of the next point of the same closed ring."""
    following = np.arange(1, int(sizes.sum()) + 1)
    ends = np.cumsum(sizes)
    following[ends - 1] = ends - sizes
    return following


def _spline(points: np.ndarray, sizes: np.ndarray, tension: np.ndarray) -> np.ndarray:
    """Cubic Hermite curves through closed rings; tangents are `tension` times the chord of the neighbours."""
    following = neighbours(sizes)
    after = points[following]
    before = np.empty_like(points)
    before[following] = points
    tangent = tension[:, None] * (after - before)
    h00, h10, h01, h11 = (h[None, :, None] for h in _BASIS)
    curve = h00 * points[:, None] + h10 * tangent[:, None] + h01 * after[:, None] + h11 * tangent[following][:, None]
    return curve.reshape(-1, 2)
