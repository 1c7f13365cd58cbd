"""Projection from head coordinates to the image: yaw, pitch, perspective, roll, framing.

Head coordinates: x to image right, y down, z towards the camera; the origin is the point between the eyes, moved back
to the axis of the ears; one unit is one image side. Only + - * / and sqrt, so that every platform gets identical bits.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

_CAMERA = 2.4  # distance of the camera from the ear axis
_FACE_PLANE = 0.22  # depth of the eyes; sizes are nominal there
_EYE_LINE = 0.47  # height of the eyes in an aligned portrait (measured on CelebAMask-HQ)
_DEGREE = 0.017453292519943295

# Kinds of coordinates: on the head; as height over the face; on the head's silhouette; on the body; on the image.
HEAD, SURFACE, RIM, BODY, SCENE = range(5)


@dataclasses.dataclass(frozen=True)
class Pose:
    """Rotations in radians, scale relative to the nominal framing, shift in image sides."""

    yaw: float
    pitch: float
    roll: float
    scale: float
    shift: tuple[float, float]

    @property
    def upright(self) -> tuple[float, float]:
        """Return (cos, sin) of the roll."""
        return _cos_sin(self.roll)

    @property
    def near_side(self) -> int:
        """Return -1 if the image-left half of the head is nearer to the camera, +1 if the right half is."""
        return -1 if self.yaw > 0 else 1

    @property
    def narrowing(self) -> float:
        """Return the horizontal shrinkage of a patch in the middle of the face."""
        return _cos_sin(self.yaw)[0]

    def project(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, kinds: np.ndarray) -> np.ndarray:
        """Project points to image positions.

        Args:
          x, y, z: float64 [M].
          kinds: [M], one of HEAD, SURFACE, RIM, BODY, SCENE.

        Returns:
          float64 [2, M], x and y in image sides.
        """
        cos, sin = _cos_sin(self.yaw)
        z = np.where(kinds == SURFACE, z + face_depth(x, y), z)
        # The silhouette of a round head keeps its width while the head turns.
        x = np.where(kinds == RIM, x * (np.sqrt(cos * cos + 1.06 * sin * sin) / cos), x)
        # Silhouettes and the body are drawn as seen from the camera: perspective is already in their numbers.
        depth = np.where((kinds == RIM) | (kinds == BODY), 0.0, 1.0)
        head = self._camera(x, y, z, 1.0, depth)
        body = self._camera(x, y, z, 0.25, depth)
        origin = self._camera(0.0, 0.0, _FACE_PLANE, 1.0, 1.0)
        # An aligned portrait is centred on the eyes, not on the skull; aligners are not perfect.
        centre = (
            0.5 + self.shift[0] - 0.8 * self.scale * origin[0],
            _EYE_LINE + self.shift[1] - self.scale * origin[1],
        )
        posed = [c + self.scale * np.where(kinds == BODY, b, h) for c, b, h in zip(centre, body, head, strict=True)]
        return np.where(kinds == SCENE, (x, y), posed)

    def _camera(self, x, y, z, share: float, perspective):
        """Return (x, y) after `share` of the rotations, nearer points larger where `perspective` is 1."""
        cos, sin = _cos_sin(self.yaw * share)
        x, z = cos * x + sin * z, cos * z - sin * x
        cos, sin = _cos_sin(self.pitch * share)
        y, z = cos * y + sin * z, cos * z - sin * y
        zoom = 1.0 + perspective * ((_CAMERA - _FACE_PLANE) / (_CAMERA - z) - 1.0)
        x, y = x * zoom, y * zoom
        cos, sin = _cos_sin(self.roll * share)
        return cos * x - sin * y, sin * x + cos * y


def face_depth(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the height of the smooth face (no nose) over the plane of the ears: an ellipsoid."""
    u, v = x / 0.285, (y - 0.04) / 0.54
    return 0.235 * np.sqrt(np.maximum(1.0 - u * u - v * v, 0.0))


def from_factors(f: Mapping[str, float]) -> Pose:
    """Return the pose of the given factors; at most 35 degrees of yaw, 20 of pitch and 16 of roll."""
    return Pose(
        yaw=_DEGREE * 14.0 * f["yaw"],
        pitch=_DEGREE * (1.0 + 6.5 * f["pitch"]),
        roll=_DEGREE * 5.5 * f["roll"],
        scale=1.02 + 0.03 * f["scale"],
        shift=(0.008 * f["shift_x"], 0.01 * f["shift_y"]),
    )


def _cos_sin(angle: float) -> tuple[float, float]:
    """Return cos and sin by Taylor series, exact to 1e-9 for |angle| < 0.8: polynomials round alike everywhere."""
    s = angle * angle
    cos = 1.0 - s / 2.0 * (1.0 - s / 12.0 * (1.0 - s / 30.0 * (1.0 - s / 56.0 * (1.0 - s / 90.0))))
    sin = angle * (1.0 - s / 6.0 * (1.0 - s / 20.0 * (1.0 - s / 42.0 * (1.0 - s / 72.0))))
    return cos, sin
