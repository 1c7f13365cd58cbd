"""`IdentityEditor`: show a person with the pose, expression, light and background of another picture.

from l2s_jax import Editor
editor = Editor.load("runs/identity/model")  # of a system with `transfer`
editor.render(editor.transfer("a.png", "b.png"))  # the person of a, all else of b
"""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from input_pipeline.errors import UserError, require
from l2s_jax.inference import processing
from l2s_jax.inference.model import Model
from l2s_jax.inference.pictures import Picture, read
from l2s_jax.pixels import to_bytes

W, CODES = "w", "codes"
"""The spaces in which a walk is straight: the generator's w, or identity and attributes before they become a w."""

_LEAST_LENGTH = 1e-3  # of a mean of identities; the mean of opposite ones has no direction


class Halves(NamedTuple):
    """The two codes of faces.

    Attributes:
      identity: float32 [N, I], rows of length 1: who it is.
      attributes: float32 [N, A]: everything else.
    """

    identity: np.ndarray
    attributes: np.ndarray


Face = Picture | Halves
"""A face: a picture, or its two codes."""

Surrogate = Callable[[np.ndarray], np.ndarray]
"""From an identity [I] to that of somebody else, [I] of length 1: those of `inference/surrogates.py`, or any other."""


class Cosines(NamedTuple):
    """Cosines between identities, by the model's own encoder.

    Attributes:
      to_identity: of the result to the face that gave the person; 1 is the same.
      to_attributes: of the result to the face that gave all else.
      between: of these two faces to one another.
    """

    to_identity: float
    to_attributes: float
    between: float


class IdentityEditor:
    """An editor of persons: a face has two codes, its identity and its attributes, which any two faces can exchange.

    The verbs (`transfer`, `cross`, `interpolate`, `deidentify`, `sequence`) take faces as pictures or as codes and
    return codes of the generator, float32 [..., W]; `render` makes pictures of them. Pictures should show one face,
    framed as the faces were that the model was trained on: there is no detector.

    Faces go through the networks one by one, so a picture's result does not depend on those beside it.
    """

    def __init__(self, model: Model):
        transfer = model.system.transfer
        require(
            transfer is not None,
            f"'{model.path}' is a model of '{model.system.name}', which does not tell the person from the rest: "
            "give a model of a system that does, such as id_disentanglement",
        )
        self.model = model
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self.variables = model.variables
        self._encode = jax.jit(lambda variables, image: Halves(*(half(variables, image) for half in transfer[:2])))
        self._code = jax.jit(transfer.code)
        self._decode = jax.jit(transfer.decode)

    def encode(self, image: Picture) -> Halves:
        """Encode one picture: identity [1, I] and attributes [1, A]."""
        return Halves(*map(np.asarray, self._encode(self.variables, self._square(image)[None])))

    def encode_face(self, face: Face, name: str = "the picture") -> Halves:
        """Encode one face as `encode` does; codes are returned as they are.

        Args:
          face: a picture, or codes.
          name: of the picture, for the sentence of an error; a path names itself.

        Raises:
          UserError: the picture has no identity: its code is not of length 1 (an untrained or damaged model).
        """
        if isinstance(face, Halves):
            return face
        codes = self.encode(face)
        if not np.allclose(np.linalg.norm(codes.identity, axis=-1), 1, atol=_LEAST_LENGTH):
            name = f"'{os.fspath(face)}'" if isinstance(face, str | os.PathLike) else name
            raise UserError(f"'{self.model.path}' finds no identity in {name}: give a photo of one face that fills it")
        return codes

    def encode_all(self, faces: Sequence[Face]) -> Halves:
        """Encode one face or more as `encode_face` does, one below the other."""
        return Halves(*map(np.concatenate, zip(*map(self.encode_face, faces), strict=True)))

    def code(self, halves: Halves) -> np.ndarray:
        """Map N pairs of codes into the generator's space, float32 [N, W]."""
        rows = zip(*(half[:, None] for half in halves), strict=True)
        return np.concatenate([self._code(self.variables, *pair) for pair in rows])

    def render(self, code: np.ndarray) -> np.ndarray:
        """Decode codes [..., W] into pictures uint8 [..., S, S, 3]."""
        flat = np.asarray(code, np.float32).reshape(-1, 1, np.shape(code)[-1])
        pictures = np.concatenate([to_bytes(self._decode(self.variables, row)) for row in flat])
        return pictures.reshape(*np.shape(code)[:-1], *pictures.shape[1:])

    def transfer(self, identity: Face, attributes: Face) -> np.ndarray:
        """Show the person of one face with all else of another.

        Args:
          identity: one face, or N as codes.
          attributes: the same; one of the two may be one face for all of the other's.

        Returns:
          float32 [N, W].
        """
        who, what = self.encode_face(identity).identity, self.encode_face(attributes).attributes
        count = max(len(who), len(what))
        return self.code(Halves(*(np.broadcast_to(half, (count, half.shape[1])) for half in (who, what))))

    def cross(self, identities: Sequence[Face], attributes: Sequence[Face]) -> np.ndarray:
        """Show every person with all else of every face: float32 [identities, attributes, W]."""
        looks = self.encode_all(attributes)
        return np.stack([self.transfer(person, looks) for person in identities])

    def interpolate(self, start: tuple[Face, Face], end: tuple[Face, Face], steps: int, space: str = W) -> np.ndarray:
        """Walk from one transfer to another: both ends are on the way, exactly.

        The person alone moves from ("a", "c") to ("b", "c"), all else alone from ("a", "b") to ("a", "c").

        Args:
          start: the faces that give identity and attributes of the first step.
          end: those of the last.
          steps: number of steps, both ends included, at least 2.
          space: W, straight in the generator's space, or CODES, straight in identity and attributes, the identity
            scaled back to length 1.

        Returns:
          float32 [steps, W].

        Raises:
          UserError: fewer than 2 steps, an unknown space, or identities that are opposite, in CODES.
        """
        require(steps >= 2, f"steps={steps}: a walk has 2 faces or more")
        require(space in (W, CODES), f"'{space}' is no space to walk in: there are '{W}' and '{CODES}'")
        share = np.linspace(0, 1, steps, dtype=np.float32)[:, None]

        def walk(a, b):
            return (1 - share) * a + share * b

        if space == W:
            return walk(self.transfer(*start), self.transfer(*end))
        (a, b), (c, d) = ((self.encode_face(who), self.encode_face(what)) for who, what in (start, end))
        return self.code(Halves(unit(walk(a.identity, c.identity)), walk(b.attributes, d.attributes)))

    def deidentify(self, face: Face, surrogate: Surrogate) -> np.ndarray:
        """Show one face as somebody else, who has its attributes.

        Args:
          face: one face.
          surrogate: gives the other person: `surrogates.below` or `surrogates.k_same`.

        Returns:
          float32 [1, W].
        """
        codes = self.encode_face(face)
        return self.code(Halves(surrogate(codes.identity[0])[None], codes.attributes))

    def sequence(self, frames: Sequence[Face], identity: Face | None = None) -> np.ndarray:
        """Show one person in all frames of a sequence.

        Args:
          frames: the faces, which give the attributes.
          identity: the person; None = the mean identity of the frames, of length 1.

        Returns:
          float32 [frames, W].

        Raises:
          UserError: the identities of the frames have no mean, being opposite.
        """
        track = self.encode_all(frames)
        who = unit(track.identity.mean(0, keepdims=True)) if identity is None else self.encode_face(identity).identity
        return self.code(Halves(np.broadcast_to(who, track.identity.shape), track.attributes))

    def sample(self, count: int, seed: int) -> np.ndarray:
        """Draw faces with the model's own generator: nobody's, whose identities `surrogates` may choose among.

        Args:
          count: how many.
          seed: the same seed gives the same faces.

        Returns:
          uint8 [count, S, S, 3].

        Raises:
          UserError: the model has no generator to draw with.
        """
        generator = self.model.system.generator
        require(
            generator is not None,
            f"'{self.model.path}' cannot generate faces by itself: give a gallery of synthetic ones to choose from",
        )
        sample = jax.jit(lambda variables, z: generator.sample(variables, z, 1.0))
        z = jax.random.normal(jax.random.key(seed), (count, 1, generator.size))
        return np.concatenate([to_bytes(sample(self.variables, row)) for row in z])

    def cosines(self, picture: Picture, identity: Face, attributes: Face) -> Cosines:
        """Compare the identity of a result with those of the two faces it was made of."""
        out, who, what = (self.encode_face(face).identity[0] for face in (picture, identity, attributes))
        return Cosines(*(float(a @ b) for a, b in ((out, who), (out, what), (who, what))))

    def square(self, photo: Picture) -> np.ndarray:
        """Return the photo as the model sees it, uint8 [S, S, 3]."""
        return to_bytes(self._square(photo))

    def _square(self, photo: Picture) -> np.ndarray:
        return processing.to_square({"image": read(photo)}, self.image_size, self.resize)["image"]


def unit(identity: np.ndarray) -> np.ndarray:
    """Scale rows [N, I] to length 1.

    Raises:
      UserError: a row is as good as 0.
    """
    length = np.linalg.norm(identity, axis=-1, keepdims=True)
    if length.min() < _LEAST_LENGTH:
        raise UserError("the mean of opposite identities is nobody's: take other faces, or another number of steps")
    return identity / length
