"""The features of a trained model, to measure in them how far pictures lie from photos (metrics/realism.py)."""

import os

import jax
import jax.numpy as jnp

from input_pipeline.errors import UserError
from l2s_jax.inference.model import load_model
from l2s_jax.metrics import realism


def of_model(where: str | os.PathLike) -> realism.Features:
    """Return what a model says of pictures: its code if it has one, its class probabilities if not.

    Structure and probabilities are averaged over `realism.cells`; a style follows as it is. Pictures are resized to the
    model's side first. The name says which model it was.

    Args:
      where: as for `load_model`.

    Raises:
      UserError: there is no such model, it is damaged, or it has neither.
    """
    model = load_model(where)
    if model.system.codec is None and model.system.predict is None:
        raise UserError(f"'{model.path}' is a model of '{model.system.name}', which says nothing of a face's parts")
    side, system = model.meta.preprocessing.image_size, model.system

    def of(image: jax.Array) -> jax.Array:
        count = len(image)
        image = jax.image.resize(image, (count, side, side, 3), "linear", antialias=True)
        if system.codec is None:
            return realism.cells(system.predict(model.variables, image).probabilities).reshape(count, -1)
        code = system.codec.encode(model.variables, image)
        maps = code.structure.reshape(-1, *code.structure.shape[2:])
        parts = realism.cells(maps).reshape(count, -1), code.style.reshape(count, -1)
        return jnp.concatenate(parts, axis=1)

    what = "class probabilities" if system.codec is None else "code"
    return realism.Features(f"{what} of {model.meta.name} ({model.meta.system}, {model.meta.sha256[:12]})", of)
