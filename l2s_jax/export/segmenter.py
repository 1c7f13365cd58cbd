"""The pure function that is exported, and its description: from pictures to class probabilities and class ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import jax.export
import jax.numpy as jnp

from input_pipeline import files
from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet
from l2s_jax.bundle import Meta
from l2s_jax.pixels import from_bytes
from l2s_jax.types import Predict, PyTree

INPUT, OUTPUTS = "image", ("probabilities", "labels")
"""Names of the input and of the outputs of every exported file."""

WRITTEN_BY = "l2s export"
"""Value of the key `written_by` of every description: only such files are replaced."""
MAX_BYTES = 2**20
"""Most bytes of a description that is read."""


class Segmenter(NamedTuple):
    """A parser, ready to be exported.

    Attributes:
      function: image uint8 [B, S, S, 3] -> probabilities float32 [B, S, S, K], labels uint8 [B, S, S].
      image_size: S, pixels.
      description: str by name; lists are JSON.
    """

    function: Callable[[jax.Array], tuple[jax.Array, jax.Array]]
    image_size: int
    description: dict[str, str]

    def spec(self) -> jax.ShapeDtypeStruct:
        """Return shape and dtype of the input, with a symbolic batch."""
        (batch,) = jax.export.symbolic_shape("batch")
        return jax.ShapeDtypeStruct((batch, self.image_size, self.image_size, 3), jnp.uint8)


def segmenter(predict: Predict, variables: PyTree, label_set: LabelSet, meta: Meta, by: str = "") -> Segmenter:
    """Return the parser of a model with its weights inside.

    Models that align faces by landmarks parse them unaligned, as they do without landmarks.

    Args:
      predict: a way of segmenting of the model's system.
      variables: its variables.
      label_set: the classes.
      meta: the model's description.
      by: name of the way, for the description.
    """

    def function(image: jax.Array) -> tuple[jax.Array, jax.Array]:
        prediction = predict(variables, from_bytes(image))
        return prediction.probabilities, prediction.logits.argmax(-1).astype(jnp.uint8)  # one operation of ONNX

    return Segmenter(function, meta.preprocessing.image_size, describe(label_set, meta, by))


def describe(label_set: LabelSet, meta: Meta, by: str = "") -> dict[str, str]:
    """Return the description of an exported parser; arguments as for `segmenter`."""
    side = meta.preprocessing.image_size
    return {
        "written_by": WRITTEN_BY,
        "name": meta.name,
        "system": meta.system,
        "by": by,
        "weights_sha256": meta.sha256,
        "licence": meta.licence,
        "label_set": label_set.name,
        "classes": json.dumps(label_set.names),
        "palette": json.dumps(label_set.palette[: len(label_set)].tolist()),
        "image_size": str(side),
        "resize": meta.preprocessing.resize,
        "input": f"image: uint8 [batch, {side}, {side}, 3], sRGB, made square by the rule `resize`",
        "outputs": f"probabilities: float32 [batch, {side}, {side}, {len(label_set)}]; labels: uint8 "
        f"[batch, {side}, {side}], ids of `classes`",
    }


def is_described(path: Path) -> bool:
    """Tell whether a JSON file is a description that `l2s export` wrote."""
    try:
        return files.read_object(path, MAX_BYTES, "description", remedy="").get("written_by") == WRITTEN_BY
    except UserError:
        return False
