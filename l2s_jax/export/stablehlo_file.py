"""StableHLO with `jax.export`: one file for CPU, CUDA and TPU, any batch, weights inside.

    exported = jax.export.deserialize(Path("parser.stablehlo").read_bytes())
    probabilities, labels = exported.call(image)  # uint8 [B, S, S, 3]

Files expire: JAX reads a calling convention for six months after it was replaced (jax.export's documentation), and a
StableHLO portable artifact for five years. The description beside the file says date, versions and the command that
writes it again.
"""

import datetime
from pathlib import Path

import jax
import jax.export

from input_pipeline import files
from l2s_jax.export.segmenter import Segmenter, is_described

PLATFORMS = ("cpu", "cuda", "tpu")


def description_of(path: Path) -> Path:
    """Return the path of the description beside a file."""
    return path.with_name(path.name + ".json")


def is_ours(path: Path) -> bool:
    """Tell whether `l2s export` wrote this file: its description lies beside it."""
    return is_described(description_of(path))


def write(path: Path, segmenter: Segmenter, command: str) -> int:
    """Write the file and its description, `path` + `.json`.

    Args:
      path: of the file.
      segmenter: what is exported.
      command: the command line that writes it, for the description.

    Returns:
      the number of bytes.

    Raises:
      UserError: it cannot be written.
    """
    exported = jax.export.export(jax.jit(segmenter.function), platforms=PLATFORMS)(segmenter.spec())
    content = bytes(exported.serialize())
    facts = segmenter.description | {
        "format": "stablehlo",
        "calling_convention": exported.calling_convention_version,
        "platforms": exported.platforms,
        "jax": jax.__version__,
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": command,
    }
    files.replace(path, content)
    files.replace_json(description_of(path), facts)
    return len(content)
