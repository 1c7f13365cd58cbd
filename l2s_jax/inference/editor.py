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
    """A face editor: a code holds one structure slice for each of `regions`, and a style for each or for all."""

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
        """Encode one image: structure [1, K, h, w, C], style [1, K, S] or [1, S]."""
        square = processing.to_square({"image": read(image)}, self.image_size, self.resize)
        return self._encode(self.variables, square["image"][None])

    def decode(self, code: Code) -> Decoded:
        """Decode B codes into images, regions and logits."""
        return self._decode(self.variables, code)

    def render(self, code: Code) -> np.ndarray:
        """Decode B codes into images uint8 [B, S, S, 3]."""
        return np.asarray(jnp.round((jnp.clip(self.decode(code).image, -1, 1) + 1) * 127.5).astype(jnp.uint8))

    def swap(self, code_a: Code, code_b: Code, regions: Sequence[str], style: bool = False) -> Code:
        """Return `code_a` with the named regions of `code_b`; the names are `Editor.regions`, see `swap_slices`.

        Raises:
          UserError: a region has no slice (the message names the nearest one), or none has a style of its own.
        """
        if style and code_a.style.ndim < 3:
            raise UserError(f"'{self.model.path}' has one style for all regions: swap regions with style=False")
        for name in regions:
            if name not in self.regions:
                hint = nearest(name, self.regions, f"there are: {', '.join(self.regions)}", cutoff=0.6)
                raise UserError(f"'{self.model.path}' has no slice for the region '{name}': {hint}")
        return swap_slices(code_a, code_b, [self.regions.index(name) for name in regions], style)


def swap_slices(code_a: Code, code_b: Code, slices: Sequence[int], style: bool = False) -> Code:
    """Return `code_a` with some structure slices of `code_b`: their shape, in the colours of `code_a`.

    With `style` the colours are those of `code_b` too; the style is [B, K, S] then, one for each region.
    """
    index = np.array(slices, np.int32)
    code = code_a.replace(structure=code_a.structure.at[:, index].set(code_b.structure[:, index]))
    return code.replace(style=code.style.at[:, index].set(code_b.style[:, index])) if style else code
