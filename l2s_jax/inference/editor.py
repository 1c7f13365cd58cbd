"""`Editor`: encode faces as codes, exchange, mix, restyle and move their slices, decode them, lay them into the photo.

from l2s_jax import Editor
editor = Editor.load("l2s-synthetic")
edit = editor.show("a.png", editor.swap("a.png", "b.png", ["hair"]), ["hair"], feather=4)[0]
edit.image, edit.change.outside_over_inside, edit.blend.seam.added
"""

import math
import numbers
import os
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.errors import UserError, nearest, require
from l2s_jax import codes
from l2s_jax.inference import edits, processing
from l2s_jax.inference.edits import Edit
from l2s_jax.inference.identity_editor import IdentityEditor
from l2s_jax.inference.model import Model, load_model
from l2s_jax.inference.pictures import Picture, read
from l2s_jax.pixels import to_bytes
from l2s_jax.types import Code, Decoded

Face = Picture | Code
"""A face to edit: a picture, or its code."""

STRUCTURE, STYLE = "structure", "style"
"""The two halves of a code: shapes, and colours with texture."""

LEAST_FACE = 0.01
"""Share of the picture that must decode to something else than background: with less the model has found no face."""

_BACKGROUND = 0  # class 0 of every label set


class Editor:
    """A face editor: a code holds one structure slice for each of `regions`, and a style for each or for all.

    Verbs (`swap`, `mix`, `restyle` ...) take faces as pictures or as codes and return codes; `render` makes pictures
    of codes, `show` also measures what has changed and lays the edit into its photo. A picture in which the model finds
    nothing but background is a UserError of every verb, and so is a region without a slice (the message names the
    nearest one).
    """

    def __init__(self, model: Model):
        if model.system.codec is None:
            raise UserError(f"'{model.path}' is a model of '{model.system.name}', which has no slices to edit")
        self.model = model
        self.variables = model.variables
        self.regions = tuple(model.system.label_set.names[c] for c in model.system.codec.classes)
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self._encode = jax.jit(model.system.codec.encode)
        self._decode = jax.jit(model.system.codec.decode)

    @staticmethod
    def load(where: str | os.PathLike) -> "Editor | IdentityEditor":
        """Load a model, see `load_model`, and return the editor of its kind: of parts, or of persons (`transfer`).

        Raises:
          UserError: also for a model that can do neither.
        """
        model = load_model(where)
        return Editor(model) if model.system.transfer is None else IdentityEditor(model)

    def encode(self, image: Picture) -> Code:
        """Encode one image: structure [1, K, h, w, C], style [1, K, S] or [1, S]."""
        return self._encode(self.variables, self._square(image)[None])

    def decode(self, code: Code) -> Decoded:
        """Decode B codes into images, regions and logits."""
        return self._decode(self.variables, code)

    def render(self, code: Code) -> np.ndarray:
        """Decode B codes into images uint8 [B, S, S, 3]."""
        return to_bytes(self.decode(code).image)

    def encode_face(self, face: Face, name: str = "the picture") -> Code:
        """Encode one face as `encode` does; a code is returned as it is.

        Args:
          face: a picture or a code.
          name: of the picture, for the sentence of an error; a path names itself.

        Raises:
          UserError: the picture decodes to background alone, to less than `LEAST_FACE` of anything else.
        """
        if isinstance(face, Code):
            return face
        code = self.encode(face)
        if np.mean(self._classes(self.decode(code)) != _BACKGROUND) < LEAST_FACE:
            name = f"'{os.fspath(face)}'" if isinstance(face, str | os.PathLike) else name
            raise UserError(f"'{self.model.path}' finds no face in {name}: give a photo of one face that fills it")
        return code

    def swap(self, target: Face, source: Face, regions: Sequence[str], style: bool = False) -> Code:
        """Return the target's face with the named regions of the source, see `codes.swap_slices`.

        Args:
          target: keeps all that is not named.
          source: gives the named regions.
          regions: names of `Editor.regions`.
          style: take the source's style (colours) of these regions too, not only their structure (shapes).

        Raises:
          UserError: also if `style` is asked for and all regions share one.
        """
        slices = self._slices(regions)
        code, donor = self.encode_face(target), self.encode_face(source)
        self._check_style(code, style, "swap regions with style=False")
        return codes.swap_slices(code, donor, slices, style)

    def mix(self, target: Face, take: Mapping[str, Face], style: bool = False) -> Code:
        """Return the target's face with regions of several donors, `take[region]`; else as `swap`."""
        donors = {self._slice(region): donor for region, donor in take.items()}
        code = self.encode_face(target)
        self._check_style(code, style, "mix regions with style=False")
        for index, donor in donors.items():
            code = codes.swap_slices(code, self.encode_face(donor), [index], style)
        return code

    def triangle(self, faces: Sequence[Face], side: int) -> tuple[Code, np.ndarray]:
        """Mix three faces by parts, in a triangle whose corners are the faces themselves, merely decoded.

        Between them a face has the slices of two people (on an edge) or three, in proportion to how near they are; a
        style goes with its slice (if all slices share one style, it is the mean, weighted by nearness).

        Args:
          faces: three of them, for the upper, the lower left and the lower right corner.
          side: faces along an edge, at least 2.

        Returns:
          codes of side (side + 1) / 2 faces, row by row from the upper corner, and int [B, K], which of the three
          faces gives each slice.

        Raises:
          UserError: not three faces, or fewer than 2 along an edge.
        """
        require(len(faces) == 3, f"a triangle has three corners, and there are {len(faces)} faces: give exactly three")
        require(side >= 2, f"an edge of {side} is no edge: a triangle has 2 faces or more along it")
        corners = jax.tree.map(lambda *rows: jnp.concatenate(rows), *map(self.encode_face, faces))
        weights = codes.triangle_weights(side)
        owners = codes.triangle_owners(weights, len(self.regions))
        return codes.combine(corners, owners, weights), owners

    def restyle(self, target: Face, donor: Face, regions: Sequence[str]) -> Code:
        """Return the target's face with the style (colours) of the donor in the named regions.

        Raises:
          UserError: also if all regions share one style.
        """
        slices = self._slices(regions)
        code = self.encode_face(target)
        self._check_style(code, True, "no region can be restyled by itself")
        return codes.swap_styles(code, self.encode_face(donor), slices)

    def perturb_style(self, target: Face, regions: Sequence[str], deviations: float, seed: int) -> Code:
        """Return the target's face with Gaussian noise on the style of the named regions.

        Args:
          target: the face.
          regions: names of `Editor.regions`.
          deviations: standard deviation of the noise, relative to that of the numbers in the region's own style.
          seed: the same seed gives the same noise.

        Raises:
          UserError: also if all regions share one style, or `deviations` is not a number above 0.
        """
        _check_positive(deviations, "noise")
        slices = self._slices(regions)
        code = self.encode_face(target)
        self._check_style(code, True, "no region can be restyled by itself")
        return codes.perturb_styles(code, slices, deviations, jax.random.key(seed))

    def interpolate(self, target: Face, source: Face, steps: int, regions: Sequence[str] = ()) -> Code:
        """Walk in a straight line from the target's code to the source's.

        Args:
          target: the first face of the walk.
          source: the last one, in the named regions.
          steps: number of faces, both ends included, at least 2.
          regions: the regions that change, with their styles; none = all. One style shared by all regions changes
            only if all of them do.

        Returns:
          codes of `steps` faces.

        Raises:
          UserError: also with fewer than 2 steps.
        """
        _check_steps(steps)
        slices = self._slices(regions or self.regions)
        return codes.interpolate(self.encode_face(target), self.encode_face(source), slices, steps)

    def directions(self, region: str, faces: Sequence[Face], count: int, of: str) -> np.ndarray:
        """Find the leading directions in which a region differs between faces: principal components of their codes.

        Few photos are enough: N faces differ in N - 1 directions at most.

        Args:
          region: a name of `Editor.regions`.
          faces: at least 2.
          count: number of directions, at most N - 1.
          of: STRUCTURE or STYLE.

        Returns:
          float32 [count, h, w, C] (structure) or [count, S] (style), each as long as the standard deviation of the
          faces along it, the longest first.

        Raises:
          UserError: also with too few faces, with faces that do not differ, or of one style for all regions.
        """
        index = self._slice(region)
        require(len(faces) >= 2, f"directions are found between 2 faces or more, not in {len(faces)}: give more photos")
        _check_count(count)
        most = len(faces) - 1
        require(count <= most, f"{len(faces)} faces differ in {most} directions at most, not in {count}")
        samples = np.concatenate([np.asarray(self._half(self.encode_face(face), index, of)) for face in faces])
        found = codes.principal_directions(samples, count)
        differ = np.abs(found).reshape(count, -1).max(axis=1).min() > 1e-6 * np.abs(samples).max()
        require(differ, f"the faces differ in fewer than {count} directions of '{region}': give other photos")
        return found

    def random_directions(self, target: Face, region: str, count: int, of: str, seed: int) -> np.ndarray:
        """Draw random directions of a region, as large as the target's own code of it: `codes.random_directions`.

        Args:
          target: the face.
          region: a name of `Editor.regions`.
          count: number of directions.
          of: STRUCTURE or STYLE.
          seed: the same seed gives the same directions.

        Returns:
          float32 [count, h, w, C] (structure) or [count, S] (style).

        Raises:
          UserError: also of one style for all regions.
        """
        index = self._slice(region)
        _check_count(count)
        own = self._half(self.encode_face(target), index, of)[0]
        return np.asarray(codes.random_directions(own, count, jax.random.key(seed)))

    def traverse(self, target: Face, region: str, direction: np.ndarray, reach: float, steps: int, of: str) -> Code:
        """Walk a region of the target along one direction, from -`reach` to +`reach` of its lengths.

        Args:
          target: the face around which the walk goes; with an odd number of steps it is the middle one.
          region: a name of `Editor.regions`.
          direction: [h, w, C] or [S], one of `directions` or `random_directions`.
          reach: how far, in lengths of `direction`.
          steps: number of faces, at least 2.
          of: STRUCTURE or STYLE, the half of the code that moves.

        Returns:
          codes of `steps` faces.

        Raises:
          UserError: also with fewer than 2 steps or a reach that is not a number above 0.
        """
        index = self._slice(region)
        _check_steps(steps)
        _check_positive(reach, "reach")
        code = self.encode_face(target)
        self._half(code, index, of)
        walk = codes.traverse_structure if of == STRUCTURE else codes.traverse_style
        return walk(code, index, jnp.asarray(direction), reach, steps)

    def restore(self, original: Picture, changed: Picture, regions: Sequence[str], feather: int) -> np.ndarray:
        """Lay regions of a picture back into a changed version of it, with their colours if each has its own style.

        Both must be framed alike: slices keep their place in the picture.

        Args:
          original: gives the regions.
          changed: keeps all else.
          regions: names of `Editor.regions`.
          feather: see `show`.

        Returns:
          uint8 [H, W, 3], of the size of `changed`.
        """
        code, donor = self.encode_face(changed, "the changed picture"), self.encode_face(original)
        return self.show(changed, self.swap(code, donor, regions, code.style.ndim == 3), regions, feather)[0].image

    def show(self, photo: Picture, code: Code, regions: Sequence[str], feather: int | None = None) -> list[Edit]:
        """Decode edited codes of a photo, measure what has changed, and lay them into the photo if asked to.

        Args:
          photo: the target of the edit.
          code: its edited codes, B of them.
          regions: the edited regions.
          feather: width of the soft border around the regions, pixels of the model's square input: everything beyond
            it is the photo's own, at its own size. None = the decoded face as it is, in the model's square.

        Raises:
          UserError: a region has no slice, or `feather` is not a whole number of 0 or more.
        """
        fits = feather is None or (isinstance(feather, numbers.Integral) and feather >= 0)
        require(fits, f"feather={feather!r} must be a whole number of pixels, 0 or more")
        classes = [self.model.system.codec.classes[k] for k in self._slices(regions)]
        pixels = read(photo)
        before, old = self._seen(self.encode(pixels), classes)
        shown = []
        for row in codes.split(code):  # one program for any number of codes, and the memory of one
            after, new = self._seen(row, classes)
            edit = edits.compare(before, after, old, new)
            shown.append(edit if feather is None else edits.lay_into(pixels, edit, feather, self.resize))
        return shown

    def _seen(self, code: Code, classes: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """Decode one code: picture uint8 [S, S, 3], and where it shows the classes, bool [S, S]."""
        decoded = self.decode(code)
        return to_bytes(decoded.image)[0], np.isin(self._classes(decoded)[0], classes)

    def square(self, photo: Picture) -> np.ndarray:
        """Return the photo as the model sees it, uint8 [S, S, 3]."""
        return to_bytes(self._square(photo))

    def _square(self, photo: Picture) -> np.ndarray:
        return processing.to_square({"image": read(photo)}, self.image_size, self.resize)["image"]

    def _classes(self, decoded: Decoded) -> np.ndarray:
        return np.asarray(decoded.logits.argmax(axis=-1))

    def check_regions(self, regions: Sequence[str]) -> None:
        """Raise the UserError of a region without a slice."""
        self._slices(regions)

    def _slices(self, regions: Sequence[str]) -> list[int]:
        return [self._slice(name) for name in regions]

    def _slice(self, name: str) -> int:
        if name not in self.regions:
            hint = nearest(name, self.regions, f"there are: {', '.join(self.regions)}", cutoff=0.6)
            raise UserError(f"'{self.model.path}' has no slice for the region '{name}': {hint}")
        return self.regions.index(name)

    def _half(self, code: Code, index: int, of: str) -> jax.Array:
        """Return the structure [B, h, w, C] or style [B, S] of one slice."""
        require(of in (STRUCTURE, STYLE), f"'{of}' is no half of a code: there are '{STRUCTURE}' and '{STYLE}'")
        self._check_style(code, of == STYLE, f"walk the '{STRUCTURE}'")
        return (code.structure if of == STRUCTURE else code.style)[:, index]

    def _check_style(self, code: Code, wanted: bool, way_out: str) -> None:
        require(not wanted or code.style.ndim >= 3, f"'{self.model.path}' has one style for all regions: {way_out}")


def _check_positive(value: float, what: str) -> None:
    require(math.isfinite(value) and value > 0, f"{what}={value} must be a number above 0")


def _check_steps(steps: int) -> None:
    require(steps >= 2, f"steps={steps}: a walk has 2 faces or more")


def _check_count(count: int) -> None:
    require(count >= 1, f"count={count}: ask for 1 direction or more")
