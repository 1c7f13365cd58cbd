"""`Editor`: encode faces as codes, exchange slices between codes, decode them.

from l2s_jax import Editor
"""

import os
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from input_pipeline.errors import UserError, nearest
from l2s_jax.inference import processing
from l2s_jax.inference.model import Model, load_model
from l2s_jax.inference.pictures import Picture, read
from l2s_jax.types import Code, Decoded


class Editor:
    """A face editor: a code holds one structure slice for each of `regions`, and one style."""

    def __init__(self, model: Model):
        if model.system.codec is None:
            raise UserError(f"'{model.path}' is a pure parser ('{model.system.name}'): it has no codes to edit")
        self.model = model
        self.variables = model.variables
        self.regions = tuple(model.system.label_set.names[c] for c in model.system.codec.classes)
        self.image_size = model.meta.preprocessing.image_size
        self.resize = model.meta.preprocessing.rule
        self._encode = jax.jit(model.system.codec.encode)
        self._decode = jax.jit(model.system.codec.decode)

    @classmethod
    def load(cls, where: str | os.PathLike) -> "Editor":
        """Load a model, see `load_model`; a pure parser is a UserError."""
        return cls(load_model(where))

    def encode(self, image: Picture) -> Code:
        """Encode one image: structure [1, K, h, w, C], style [1, S]."""
        square = processing.to_square({"image": read(image)}, self.image_size, self.resize)
        return self._encode(self.variables, square["image"][None])

    def decode(self, code: Code) -> Decoded:
        """Decode B codes into images, regions and presence logits."""
        return self._decode(self.variables, code)

    def render(self, code: Code) -> np.ndarray:
        """Decode B codes into images uint8 [B, S, S, 3]."""
        return np.asarray(jnp.round((jnp.clip(self.decode(code).image, -1, 1) + 1) * 127.5).astype(jnp.uint8))

    def swap(self, code_a: Code, code_b: Code, regions: Sequence[str]) -> Code:
        """Return `code_a` with the named regions of `code_b`; the names are `Editor.regions`, see `swap_slices`.

        Raises:
          UserError: a region has no slice; the message names the nearest one.
        """
        for name in regions:
            if name not in self.regions:
                hint = nearest(name, self.regions, f"there are: {', '.join(self.regions)}", cutoff=0.6)
                raise UserError(f"'{self.model.path}' has no slice for the region '{name}': {hint}")
        return swap_slices(code_a, code_b, [self.regions.index(name) for name in regions])


def swap_slices(code_a: Code, code_b: Code, slices: Sequence[int]) -> Code:
    """Return `code_a` with some structure slices of `code_b`; the style stays that of `code_a`."""
    index = np.array(slices, np.int32)
    return code_a.replace(structure=code_a.structure.at[:, index].set(code_b.structure[:, index]))
