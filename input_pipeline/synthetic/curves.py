"""Point lists for contours: circles, ribbons, mirrored halves. All return float64 [n, 3]."""

import numpy as np


def directions(degrees) -> tuple[np.ndarray, np.ndarray]:
    """Return (sin, cos), rounded to 9 digits so that libraries that differ in the last bit agree."""
    angle = np.asarray(degrees) * (np.pi / 180.0)
    return np.round(np.sin(angle), 9), np.round(np.cos(angle), 9)


_SIN, _COS = directions(np.arange(12) * 30.0)
_CIRCLE = np.stack([_SIN, -_COS, 0.0 * _SIN], axis=1)


def ellipse(x: float, y: float, rx: float, ry: float, z: float = 0.0) -> np.ndarray:
    """Return a closed ellipse of 12 points."""
    return _CIRCLE * (rx, ry, 0.0) + (x, y, z)


def superellipse(x: float, y: float, rx: float, ry: float, squareness: float, z: float = 0.0) -> np.ndarray:
    """Return a closed contour between an ellipse (squareness 0) and a rounded box (1)."""
    reach = np.maximum(np.abs(_SIN), np.abs(_COS))
    grow = 1.0 + squareness * (0.86 / reach - 1.0 + 0.14 * reach)
    return np.stack([x + rx * _SIN * grow, y - ry * _COS * grow, np.full(12, z)], axis=1)


def ribbon(points, half_widths) -> np.ndarray:
    """Return a stroke along `points` [n, 3] with a half width at each point."""
    points = np.asarray(points, np.float64)
    along = np.empty((len(points), 2))
    along[1:-1] = points[2:, :2] - points[:-2, :2]
    along[0], along[-1] = points[1, :2] - points[0, :2], points[-1, :2] - points[-2, :2]
    length = np.sqrt(along[:, 0] * along[:, 0] + along[:, 1] * along[:, 1])
    scale = np.asarray(half_widths, np.float64) / length
    shift = np.zeros_like(points)
    shift[:, 0], shift[:, 1] = -along[:, 1] * scale, along[:, 0] * scale
    return np.concatenate([points + shift, (points - shift)[::-1]])


def mirror(half) -> np.ndarray:
    """Return a closed symmetric contour from its right half, which starts and ends on the middle line."""
    half = np.asarray(half, np.float64)
    other = half[-2:0:-1] * (-1.0, 1.0, 1.0)
    return np.concatenate([half, other])
