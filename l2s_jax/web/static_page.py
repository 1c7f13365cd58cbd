"""A folder that parses photos in the browser: page, ONNX file, and the files of onnxruntime-web."""

import base64
import hashlib
import io
import tarfile
from pathlib import Path

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax.export import onnx_file
from l2s_jax.export.segmenter import Segmenter, is_described
from l2s_jax.web.page import DESCRIPTION, ENGINE, PAGE, resource

RUNTIME = "onnxruntime-web-1.30.0.tgz"
"""The npm package with the runtime, as `npm pack onnxruntime-web@1.30.0` leaves it."""
FETCHED = f"`npm pack {RUNTIME.removesuffix('.tgz').replace('web-', 'web@')}` fetches it"
"""Where it comes from, for errors."""
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
"""Its checksum, as npm states it."""
RUNTIME_FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
"""What the page needs of it."""

NETWORK = "parser.onnx"
_MAX_RUNTIME_BYTES = 512 * 2**20


def is_ours(folder: Path) -> bool:
    """Tell whether `l2s export` wrote this folder."""
    return is_described(folder / DESCRIPTION)


def read_runtime(package: Path) -> dict[str, bytes]:
    """Read the files of the runtime from its npm package.

    Raises:
      UserError: it is missing, or is not the package of `INTEGRITY`.
    """
    content = files.read_limited(package, _MAX_RUNTIME_BYTES, "npm package", remedy=FETCHED)
    if "sha512-" + base64.b64encode(hashlib.sha512(content).digest()).decode() != INTEGRITY:
        raise UserError(f"'{package}' is not {RUNTIME}, whose checksum is known: {FETCHED}")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {name: archive.extractfile(f"package/dist/{name}").read() for name in RUNTIME_FILES}


def write(folder: Path, segmenter: Segmenter, runtime: dict[str, bytes]) -> int:
    """Write the page; return the number of bytes of its ONNX file.

    Args:
      folder: is created; files of an earlier page are replaced.
      segmenter: what the page runs.
      runtime: files of the runtime by name.

    Raises:
      UserError: the model cannot be converted, or a file cannot be written.
    """
    network = onnx_file.convert(segmenter).SerializeToString()
    parts = runtime | {ENGINE: resource("by_browser.js"), NETWORK: network, PAGE: resource("page.html")}
    files.writable_folder(folder)
    files.replace_json(folder / DESCRIPTION, segmenter.description)
    for name, content in parts.items():
        files.replace(folder / name, content)
    return len(network)
