"""Hostile folders: records, and the runs that a report is made of."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from experiments.fuzz.inputs import JSON, archives, damaged, strange
from input_pipeline.datasets import open_source
from input_pipeline.readers.records import manifest
from input_pipeline.readers.records.prepare import open_data, prepare
from input_pipeline.readers.records.source import RecordsSource
from l2s_jax.report import run_data

Files = dict[str, bytes]
"""The files of a folder by name."""


def records(folder: Path) -> Files:
    """Write records of four faces; return their files."""
    source, raw = open_source("synthetic:4", size=24), folder / "raw"
    for kind in ("image", "mask"):
        (raw / f"{kind}s").mkdir(parents=True)
        for number in range(len(source)):
            Image.fromarray(source[number][kind]).save(raw / f"{kind}s" / f"{number}.png")
    (raw / "labels.json").write_text(json.dumps({"label_set": source.label_set.name}))
    prepare(open_data(str(raw), "folder"), folder / "records", jobs=1)
    return {path.name: path.read_bytes() for path in (folder / "records").iterdir()}


@st.composite
def damaged_records(draw: st.DrawFn, files: Files) -> Files:
    """Draw records with a damaged file, whose new length their manifest knows, or with a strange manifest."""
    described = json.loads(files[manifest.FILE])
    name = draw(st.sampled_from([name for name in files if name.startswith("faces")]))
    content = draw(damaged([files[name]]))
    text = files[manifest.FILE].replace(b'"bytes": %d' % len(files[name]), b'"bytes": %d' % len(content))
    lying = st.fixed_dictionaries({name: st.just(content), manifest.FILE: st.just(text)})
    return files | draw(st.one_of(lying, lying, st.fixed_dictionaries({manifest.FILE: strange(described)})))


def read_records(folder: Path, files: Files) -> None:
    """Write records, and read all that is in them."""
    fill(folder, files)
    source = RecordsSource(folder)
    source.presence()
    for index in range(len(source)):
        source[index], source.names[index]
    source.verify()


@st.composite
def runs(draw: st.DrawFn) -> Files:
    """Draw a folder of a run: what `l2s evaluate` wrote, damaged."""
    arrays, counts = io.BytesIO(), np.eye(4, dtype=np.int64)
    np.savez_compressed(arrays, confusion=counts, image=np.zeros((1, 8, 8, 3), np.uint8), effect=np.eye(3))
    lines = b'{"step": 1, "train/loss": 2.5}\n'
    return {
        "metrics.json": draw(strange({"segmentation": {"mean_f1": 0.5}})),
        "metrics.jsonl": draw(damaged([lines]) | JSON.map(lambda row: json.dumps(row).encode())),
        "config.json": b'{"label_set": "celebamask"}',
        "evaluation.npz": draw(damaged([arrays.getvalue()]) | archives([arrays.getvalue()], member=npy())),
    }


@st.composite
def npy(draw: st.DrawFn) -> bytes:
    """Draw an array of NumPy's format whose header promises odd sizes and kinds."""
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, -1, 7, 10**5, 6 * 10**9, 2**63]), max_size=4)))
    kind = draw(st.sampled_from(["|u1", "<f8", "|O", "|V9", "<U99999999", "<M8[ns]", "x", [("a", "|O")]]))
    header = repr({"descr": kind, "fortran_order": draw(st.booleans()), "shape": shape}).encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + draw(st.binary(max_size=99))


def read_run(folder: Path, files: Files) -> None:
    """Write a run, and read what a report is made of."""
    fill(folder, files)
    run_data.read(folder)


def fill(folder: Path, files: Files) -> None:
    """Leave nothing but `files` in a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
