"""ONNX with `jax2onnx`: one file, any batch, weights and description inside.

session = onnxruntime.InferenceSession("parser.onnx")
probabilities, labels = session.run(None, {"image": image})  # uint8 [B, S, S, 3]
session.get_modelmeta().custom_metadata_map["classes"]
"""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import jax
import jax2onnx
import onnx

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax.export.segmenter import INPUT, OUTPUTS, WRITTEN_BY, Segmenter
from l2s_jax.layers.called_with import called_with
from l2s_jax.layers.depthwise import DepthwiseConv

OPSET = 21
"""Version of the ONNX operators."""


def is_ours(path: Path) -> bool:
    """Tell whether `l2s export` wrote this file."""
    try:
        found = onnx.load(path, load_external_data=False).metadata_props
    except Exception:  # whatever protobuf makes of a file that is something else
        return False
    return any((entry.key, entry.value) == ("written_by", WRITTEN_BY) for entry in found)


def convert(segmenter: Segmenter) -> onnx.ModelProto:
    """Convert a parser.

    Raises:
      UserError: the converter lacks an operation of this network.
    """
    try:
        # The converter promotes ranks; runtimes have depthwise convolutions of their own.
        own = called_with(DepthwiseConv, lowering="grouped")
        with _quiet(), jax.numpy_rank_promotion("allow"), own:
            model = jax2onnx.to_onnx(
                segmenter.function,
                [segmenter.spec()],
                model_name=segmenter.description["name"],
                opset=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
            )
    except (NotImplementedError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(f"'{segmenter.description['name']}' cannot be converted to ONNX: {reason}") from error
    onnx.helper.set_model_props(model, segmenter.description)
    return model


def write(path: Path, segmenter: Segmenter) -> int:
    """Write the file; return the number of bytes.

    Raises:
      UserError: it cannot be converted or written.
    """
    content = convert(segmenter).SerializeToString()
    files.replace(path, content)
    return len(content)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the converter's remarks on shapes that it leaves to the runtime, dozens a network."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
