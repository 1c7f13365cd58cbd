"""The gates that untrusted input comes in by."""

import functools
import io
import json
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from etils import epath
from hypothesis import strategies as st
from PIL import Image
from safetensors.numpy import save

from experiments.fuzz import folders
from experiments.fuzz.command_lines import command, overrides, words
from experiments.fuzz.inputs import archives, damaged, enlarged, strange
from experiments.fuzz.measure import Gate
from experiments.fuzz.page import AT_ONCE, Page, requests
from input_pipeline import label_files
from input_pipeline.datasets import open_source
from input_pipeline.images import decode
from input_pipeline.readers.records import message
from l2s_jax import bundle, config
from l2s_jax.bundle.search import SHIPPED
from l2s_jax.export.segmenter import is_described
from l2s_jax.inference.model import load_model
from l2s_jax.torch_weights.torch_file import read_state_dict
from tests.helpers import torch_writer

PIXELS = 4_000_000
"""Most pixels of a picture, as a service would set it."""


def gates(folder: Path) -> dict[str, Gate]:
    """Return the gates by name; they write what they read into `folder`."""
    face = open_source("synthetic:1?test", size=48)[0]
    photo, mask = Image.fromarray(face["image"]), Image.fromarray(face["mask"])
    photos = [_encoded(photo, kind) for kind in ("PNG", "JPEG", "WEBP", "AVIF", "BMP", "TIFF", "GIF")]
    masks = [_encoded(mask, "PNG"), _encoded(mask.convert("P"), "PNG"), _encoded(mask.convert("P"), "GIF")]
    record = message.encode(message.Record("face", photos[1], masks[0], {}))
    weights = {"a.weight": np.ones((3, 4), np.float32), "b.bias": np.zeros(5, np.float32)}
    stored = [
        *(path.read_bytes() for path in _torch_files()),
        save(weights),
        *(pickle.dumps(weights, p) for p in (2, 4)),
    ]
    model = SHIPPED / "l2s-synthetic"
    description = json.loads((model / bundle.JSON_FILE).read_bytes())
    others = [json.loads((path / bundle.JSON_FILE).read_bytes()) for path in sorted(SHIPPED.iterdir())]
    tensors = (model / bundle.TENSOR_FILE).read_bytes()
    classes = [{"id": 0, "name": "background", "color": [0, 0, 0]}, {"id": 7, "name": "hair"}]
    own_labels = {"name": "own", "labels": classes}
    fields = sorted(config.flatten(config.load("demo")))
    torch_writer.save(folder / "zip.pt", torch_writer.checkpoint(weights))
    archive = (folder / "zip.pt").read_bytes()
    file, copied = folder / "input", folder / "model"
    shutil.copytree(model, copied)
    kept, page = folders.records(folder), functools.cache(Page)

    def on_disk(take: Callable[[Path], object], target: Path = file) -> Callable[[bytes], object]:
        def write_and_take(content: bytes) -> object:
            target.write_bytes(content)
            return take(target)

        return write_and_take

    def described(content: bytes) -> None:
        (copied / bundle.TENSOR_FILE).write_bytes(tensors)
        (copied / bundle.JSON_FILE).write_bytes(content)
        load_model(copied)

    def with_tensors(content: bytes) -> None:
        (copied / bundle.JSON_FILE).write_text(json.dumps(description))
        (copied / bundle.TENSOR_FILE).write_bytes(content)
        load_model(copied)

    def named(content: bytes) -> decode.Encoded:
        return decode.Encoded("input", content)

    return {
        "photos": Gate(0.15, damaged(photos), lambda x: decode.read_image(named(x), max_pixels=PIXELS)),
        "masks": Gate(0.05, damaged(masks), lambda x: decode.read_mask(named(x), max_pixels=PIXELS)),
        "drawings": Gate(0.05, damaged(photos), lambda x: decode.read_drawing(named(x), exact=True, max_pixels=PIXELS)),
        "records": Gate(0.05, damaged([record]), lambda x: message.decode(x, "input")),
        "label maps": Gate(0.05, strange(own_labels), on_disk(lambda path: label_files.read(epath.Path(path)))),
        "archives of weights": Gate(0.05, archives([archive]), on_disk(read_state_dict)),
        "weights of others": Gate(0.13, damaged([*stored, archive]), on_disk(read_state_dict)),
        "descriptions of models": Gate(0.05, strange(description), described),
        "sizes of models": Gate(0.05, enlarged(others), described),
        "weights of models": Gate(0.02, damaged([tensors]), with_tensors),
        "configs": Gate(0.05, strange(config.load("demo").to_dict()), on_disk(config.load, folder / "config.json")),
        "overrides": Gate(0.05, overrides(fields), lambda x: config.load("demo", x)),
        "command lines": Gate(0.03, words(), command),
        "folders of records": Gate(
            0.05, folders.damaged_records(kept), functools.partial(folders.read_records, folder / "r")
        ),
        "runs to report": Gate(0.05, folders.runs(), functools.partial(folders.read_run, folder / "run")),
        "exported folders": Gate(0.02, strange({"written_by": "l2s export"}), on_disk(is_described)),
        "requests": Gate(0.08, requests(photos), lambda x: page().ask(x)),
        "requests at once": Gate(
            0.02, st.lists(requests(photos), min_size=2, max_size=AT_ONCE), lambda x: page().ask(*x)
        ),
    }


def _encoded(image: Image.Image, kind: str) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _torch_files() -> list[Path]:
    """Return files that PyTorch itself wrote."""
    return sorted(path for path in Path(__file__).parents[2].glob("tests/data/torch/*") if path.suffix != ".npz")
