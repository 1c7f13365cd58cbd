"""One synthetic person in motion: the frames of a short film in which pose, expression and light swing. Ours."""

import numpy as np

from input_pipeline.synthetic import rng
from input_pipeline.synthetic.face import render
from input_pipeline.synthetic.factors import sample_factors
from input_pipeline.types import Example

SWINGING = (
    "yaw",
    "pitch",
    "roll",
    "shift_x",
    "shift_y",
    "scale",
    "smile",
    "brow_raise",
    "eye_open",
    "gaze_x",
    "gaze_y",
    "light_side",
    "light_height",
)
"""Factors that swing around 0; all others keep what `sample_factors` drew."""

_REACH = 1.2  # of a swing, in the factor's own deviations


def track(seed: int, index: int, frames: int, size: int) -> list[np.ndarray]:
    """Draw a film of one person that could run in a loop: the last frame goes on to the first.

    Every factor of SWINGING goes once or twice to and fro, at its own time; the mouth opens once. The random texture is
    that of the person's one picture, so that nothing flickers.

    Args:
      seed: of the stream of faces, as in `render`.
      index: of the face in the stream.
      frames: how many.
      size: side of the frames in pixels, 16..4096.

    Returns:
      uint8 [size, size, 3] each.
    """
    return [face["image"] for face in faces(seed, index, frames, size)]


def faces(seed: int, index: int, frames: int, size: int) -> list[Example]:
    """Draw the film of `track`, each frame as `render` returns a face, with its mask and landmarks."""
    person = sample_factors(seed, index)
    start = rng.uniforms(rng.fold(seed, "track", index), len(SWINGING) + 1)
    film = []
    for frame in range(frames):
        swings = {
            name: _REACH * _wave((1 + number % 2) * frame / frames + start[number])
            for number, name in enumerate(SWINGING)
        }
        opening = max(0.0, _wave(frame / frames + start[-1]))
        film.append(render(seed, index, size, factors=person.replace(mouth_open=opening, **swings)))
    return film


def _wave(turn: float) -> float:
    """Return about sin(2 pi turn), of + - * alone: the same bytes on every machine."""
    x = 2.0 * (turn - np.floor(turn)) - 1.0
    return float(-4.0 * x * (1.0 - abs(x)))
