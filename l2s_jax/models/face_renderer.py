"""A differentiable renderer of drawn faces with known identity and attributes, and their analytic landmarks. Ours.

A face is a stack of soft shapes: hair, head, fringe, brows, eyes, nose, mouth. Every number that describes it is a
smooth function of one factor, so that pictures can be differentiated in the factors, and every factor moves or colours
at least a few pixels of a picture of 64 px. Identity and attributes are independent, N(0, 1) each.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

IDENTITY = (
    "face_width",
    "face_height",
    "eye_distance",
    "eye_size",
    "nose_length",
    "nose_width",
    "mouth_width",
    "brow_thickness",
    "hairline",
    "hair_length",
    "skin",
    "hair",
    "iris",
    "lips",
)
"""Names of the identity factors, in order."""
ATTRIBUTES = (
    "yaw",
    "pitch",
    "roll",
    "scale",
    "shift",
    "mouth_opening",
    "smile",
    "eye_opening",
    "light",
    "background",
)
"""Names of the attribute factors, in order."""
LANDMARKS = 68
"""Points of `landmarks`, in the order of iBUG 300-W."""

_SATURATION = 0.7
"""Slope at 0 of the tanh that bounds a factor: 82 % of N(0, 1) lie where it is above half of that."""
_SOFTNESS = 0.6
"""Half width of the edges, pixels."""
_CHIN = 0.1
"""Height of the centre of the head; all lengths are halves of the picture's side, y grows downwards."""
_EYES, _MOUTH = -0.04, 0.4

_COLOURS = {
    "skin": ((0.36, 0.22, 0.15), (0.82, 0.66, 0.52)),
    "hair": ((0.09, 0.06, 0.05), (0.80, 0.60, 0.22)),
    "iris": ((0.20, 0.10, 0.02), (0.22, 0.66, 0.88)),
    "lips": ((0.30, 0.08, 0.16), (0.92, 0.44, 0.40)),
    "background": ((0.12, 0.22, 0.45), (0.72, 0.76, 0.60)),
}
"""The two ends between which a factor mixes, RGB in [0, 1]."""
_WHITE, _PUPIL, _THROAT = (0.85, 0.85, 0.83), (0.03, 0.03, 0.04), (0.2, 0.04, 0.05)
_DEPTH = {"head": 0.25, "eyes": 0.75, "nose": 1.3, "mouth": 0.85}
"""How far a part follows a turn of the head."""


class _Face(NamedTuple):
    """Lengths, places and strengths of one face, scalars; angles in radians, `f` factors already in [-1, 1]."""

    width: jax.Array
    height: jax.Array
    eye_distance: jax.Array
    eye_width: jax.Array
    eye_height: jax.Array
    nose_length: jax.Array
    nose_width: jax.Array
    mouth_width: jax.Array
    mouth_opening: jax.Array
    smile: jax.Array
    brow: jax.Array
    hairline: jax.Array
    hair_length: jax.Array
    roll: jax.Array
    scale: jax.Array
    shift: jax.Array
    turn: jax.Array  # [2], how far a part of depth 1 moves in x and y

    def at(self, part: str, x, y) -> tuple[jax.Array, jax.Array]:
        """Return where the point (x, y) of a frontal face's part lies on the turned head."""
        return x + _DEPTH[part] * self.turn[0], y + _DEPTH[part] * self.turn[1]


def render(identity: jax.Array, attributes: jax.Array, size: int) -> jax.Array:
    """Draw faces.

    Args:
      identity: [B, len(IDENTITY)], any numbers.
      attributes: [B, len(ATTRIBUTES)].
      size: side of the pictures in pixels.

    Returns:
      float32 [B, size, size, 3] in (-1, 1).
    """
    return jax.vmap(lambda i, a: _draw(_bounded(i), _bounded(a), size))(identity, attributes)


def landmarks(identity: jax.Array, attributes: jax.Array, size: int) -> jax.Array:
    """Compute the landmarks of the faces that `render` draws, visible or not.

    Args:
      identity, attributes, size: as for `render`.

    Returns:
      float32 [B, 68, 2], (x, y) in pixels with pixel centres at .5, iBUG order.
    """
    return jax.vmap(lambda i, a: _points(_face(_bounded(i), _bounded(a)), size))(identity, attributes)


def _bounded(factors: jax.Array) -> jax.Array:
    return jnp.tanh(_SATURATION * factors.astype(jnp.float32))


def _face(i: jax.Array, a: jax.Array) -> _Face:
    identity, attribute = dict(zip(IDENTITY, i, strict=True)), dict(zip(ATTRIBUTES, a, strict=True))
    eye = 0.15 + 0.055 * identity["eye_size"]
    return _Face(
        width=0.52 + 0.12 * identity["face_width"],
        height=0.62 + 0.11 * identity["face_height"],
        eye_distance=0.25 + 0.08 * identity["eye_distance"],
        eye_width=eye,
        eye_height=eye * (0.55 + 0.4 * attribute["eye_opening"]),
        nose_length=0.25 + 0.09 * identity["nose_length"],
        nose_width=0.12 + 0.07 * identity["nose_width"],
        mouth_width=0.21 + 0.09 * identity["mouth_width"],
        mouth_opening=0.075 + 0.07 * attribute["mouth_opening"],
        smile=0.11 * attribute["smile"],
        brow=0.055 + 0.04 * identity["brow_thickness"],
        hairline=-0.37 + 0.13 * identity["hairline"],
        hair_length=0.28 + 0.26 * identity["hair_length"],
        roll=0.35 * attribute["roll"],
        scale=1.1 + 0.15 * attribute["scale"],
        shift=0.16 * attribute["shift"],
        turn=jnp.stack((0.16 * attribute["yaw"], 0.12 * attribute["pitch"])),
    )


def _draw(i: jax.Array, a: jax.Array, size: int) -> jax.Array:
    face = _face(i, a)
    grid = jnp.asarray((np.arange(size, dtype=np.float32) + 0.5) * 2 / size - 1)
    across, down = grid[None, :] - face.shift, grid[:, None]
    cos, sin = jnp.cos(face.roll), jnp.sin(face.roll)
    x, y = (cos * across + sin * down) / face.scale, (cos * down - sin * across) / face.scale
    edge = 2 * _SOFTNESS / size / face.scale
    hair_, head, brows, eyes, irises, pupils, bridge, wings, outer, inner = _masks(face, x, y, edge)
    line = face.at("head", 0.0, face.hairline)
    fringe = head * jax.nn.sigmoid((line[1] + 0.5 * (x - line[0]) ** 2 - y) / edge)
    strength = dict(zip(IDENTITY + ATTRIBUTES, 0.5 + 0.5 * jnp.concatenate((i, a)), strict=True))
    skin, hair, iris, lips, background = (
        jnp.asarray(low) + strength[name] * (jnp.asarray(high) - jnp.asarray(low))
        for name, (low, high) in _COLOURS.items()
    )
    canvas = jnp.broadcast_to(background[None, None], (size, size, 3))
    for mask, colour in (
        (hair_, hair),
        (head, skin),
        (fringe, hair),
        (brows, 0.45 * hair),
        (eyes, _WHITE),
        (eyes * irises, iris),
        (eyes * pupils, _PUPIL),
        (bridge, 0.8 * skin),
        (wings, 0.5 * skin),
        (outer, lips),
        (inner, _THROAT),
    ):
        canvas = canvas + mask[..., None] * (jnp.asarray(colour)[None, None] - canvas)
    light = 1 + 0.16 * a[ATTRIBUTES.index("light")] * grid[None, :, None]
    return 2 * canvas * light - 1


def _masks(face: _Face, x: jax.Array, y: jax.Array, edge: jax.Array) -> list[jax.Array]:
    """Return the soft insides [H, W] of all parts: one expression over bent ellipses, compiled once.

    Args:
      face: its lengths.
      x, y: [H, W], place of each pixel on the upright head.
      edge: half width of the edges.
    """
    tip = _EYES + face.nose_length
    # The hair hangs from 0.12 above the head to somewhere between its middle and below the chin.
    hanging = face.height + 0.05 + face.hair_length / 2
    pair = (-face.eye_distance, face.eye_distance)
    ellipses = [
        ("head", 0.0, hanging - face.height - 0.12 + _CHIN, face.width + 0.13, hanging, 0.0),
        ("head", 0.0, _CHIN, face.width, face.height, 0.0),
        *(("eyes", at, _EYES - 0.19, 0.15, face.brow, 0.03) for at in pair),
        *(("eyes", at, _EYES, face.eye_width, face.eye_height, 0.0) for at in pair),
        *(("eyes", at, _EYES, 0.66 * face.eye_width, 0.66 * face.eye_width, 0.0) for at in pair),
        *(("eyes", at, _EYES, 0.22 * face.eye_width, 0.22 * face.eye_width, 0.0) for at in pair),
        ("nose", 0.0, tip - 0.1, 0.035, 0.13, 0.0),
        ("nose", 0.0, tip, face.nose_width, 0.055, 0.0),
        ("mouth", 0.0, _MOUTH, face.mouth_width, 0.065 + face.mouth_opening, -face.smile),
        ("mouth", 0.0, _MOUTH, 0.8 * face.mouth_width, face.mouth_opening, -0.64 * face.smile),
    ]
    rows = [(*face.at(part, cx, cy), *rest) for part, cx, cy, *rest in ellipses]
    cx, cy, width, height, bend = (
        jnp.stack([jnp.asarray(each, jnp.float32) for each in column])[:, None, None]
        for column in zip(*rows, strict=True)
    )
    u = (x[None] - cx) / width
    v = (y[None] - cy - bend * jnp.minimum(u * u, 1.2)) / height  # beyond, u alone is outside
    # The distance from the border to first order: radius - 1 over the length of its gradient.
    radius = jnp.sqrt(u * u + v * v + 1e-4)
    slope = jnp.sqrt((u / width) ** 2 + (v / height) ** 2 + 1e-4) / radius
    inside = jax.nn.sigmoid((1 - radius) / (slope * edge))
    # Both brows, eyes ... are one part: they do not overlap.
    return [*inside[:2], *(jnp.maximum(*inside[k : k + 2]) for k in (2, 4, 6, 8)), *inside[10:]]


def _points(face: _Face, size: int) -> jax.Array:
    """Return the landmarks, [68, 2] in pixels; the shapes are those of `_draw`."""

    def arc(part, centre, half, degrees, bend=0.0):
        """Return points of an ellipse at angles from the image's right, clockwise as seen."""
        angle = np.deg2rad(np.asarray(degrees, np.float32))
        u, v = jnp.asarray(np.cos(angle)), jnp.asarray(np.sin(angle))
        return face.at(part, centre[0] + half[0] * u, centre[1] + half[1] * v + bend * u * u)

    def straight(part, x, y):
        return face.at(part, jnp.asarray(x), jnp.broadcast_to(y, jnp.shape(x)))

    eyes = [(side * face.eye_distance, _EYES) for side in (-1, 1)]
    brow_x = np.linspace(-0.15, 0.15, 5, dtype=np.float32)
    tip = _EYES + face.nose_length
    wings = np.linspace(-1, 1, 5, dtype=np.float32)
    outer, inner = (face.mouth_width, 0.065 + face.mouth_opening), (0.8 * face.mouth_width, face.mouth_opening)
    # The first point of an eye or mouth is its corner at the image's left; then along the upper edge.
    parts = (
        arc("head", (0.0, _CHIN), (face.width, face.height), np.linspace(180, 0, 17)),
        *(straight("eyes", cx + brow_x, _EYES - 0.19 + 0.03 * (brow_x / 0.15) ** 2) for cx, _ in eyes),
        straight(
            "nose", jnp.zeros(4), _EYES + face.nose_length * jnp.asarray(np.linspace(0.1, 1, 4, dtype=np.float32))
        ),
        straight("nose", face.nose_width * wings, tip + 0.055 * jnp.asarray(np.sqrt(1 - wings**2))),
        *(arc("eyes", eye, (face.eye_width, face.eye_height), (180, 240, 300, 360, 420, 480)) for eye in eyes),
        arc("mouth", (0.0, _MOUTH), outer, np.arange(180, 540, 30), -face.smile),
        arc("mouth", (0.0, _MOUTH), inner, np.arange(180, 540, 45), -0.64 * face.smile),
    )
    x, y = (jnp.concatenate([part[axis] for part in parts]) for axis in (0, 1))
    cos, sin = jnp.cos(face.roll), jnp.sin(face.roll)
    placed = jnp.stack((cos * x - sin * y, cos * y + sin * x), axis=-1) * face.scale
    return (placed + jnp.stack((face.shift, jnp.zeros(())))[None] + 1) * (size / 2)
