"""Bundles: what is saved comes back, what is damaged is named, and nothing is half-written."""

import dataclasses
import json
import os
import struct

import jax
import numpy as np
import pytest

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax import bundle
from l2s_jax.bundle import search
from l2s_jax.inference.model import load_model
from tests.helpers import fake_system


@pytest.fixture
def fake(monkeypatch):
    fake_system.install(monkeypatch)


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("L2S_MODELS", raising=False)
    path = tmp_path / "models" / "tiny"
    fake_system.save(path)
    return path


def edit_json(path, **fields):
    file = path / bundle.JSON_FILE
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


def forge(path, header: dict | bytes, body: bytes = b"", length: int | None = None):
    """A safetensors file with any header, and a model.json that vouches for it."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    file = path / bundle.TENSOR_FILE
    file.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + body)
    edit_json(path, sha256=files.sha256(file))


def tree():
    rng = np.random.default_rng(0)
    return {
        "encoder": {"params": {"conv": {"kernel": rng.normal(size=(3, 3, 2, 4)).astype(np.float32)}}},
        "generator": {"params": {"w": np.float32(2.5)}, "stats": {"count": np.int32(7), "on": np.zeros((0, 3), bool)}},
    }


def test_round_trip_is_bit_exact(tmp_path):
    completed = bundle.save(tmp_path / "m", tree(), fake_system.meta())
    loaded = bundle.load(tmp_path / "m")
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, tree())
    for what in ("dtype", "shape"):
        assert jax.tree.map(lambda a, w=what: getattr(a, w), loaded.variables) == jax.tree.map(
            lambda a, w=what: getattr(a, w), tree()
        )
    as_json = json.loads(json.dumps(completed.config))
    assert loaded.meta == dataclasses.replace(completed, config=as_json)
    assert completed.parameters == 3 * 3 * 2 * 4 + 2
    assert completed.sha256 == files.sha256(tmp_path / "m" / bundle.TENSOR_FILE)
    assert sorted(os.listdir(tmp_path)) == ["m"]
    assert sorted(os.listdir(tmp_path / "m")) == ["model.json", "model.safetensors"]
    (tmp_path / "plain").write_text("")  # everybody who may read a file made here may read the model
    assert {p.stat().st_mode for p in (tmp_path / "m").iterdir()} == {(tmp_path / "plain").stat().st_mode}


def test_saving_again_replaces_and_a_foreign_folder_stays(saved):
    other = jax.tree.map(lambda x: x + 1, fake_system.variables())
    bundle.save(saved, other, fake_system.meta())
    jax.tree.map(np.testing.assert_array_equal, bundle.load(saved).variables, other)
    assert os.listdir(saved.parent) == ["tiny"]
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not a model bundle; choose another folder"):
        bundle.save(saved, other, fake_system.meta())
    assert (saved / "notes.txt").read_text() == "mine"


def test_a_failed_write_leaves_the_old_bundle(saved, monkeypatch):
    before = files.sha256(saved / bundle.TENSOR_FILE)
    with monkeypatch.context() as patch:
        patch.setattr("input_pipeline.files.os.replace", lambda *a: (_ for _ in ()).throw(OSError(28, "No space left")))
        with pytest.raises(UserError, match=r"cannot write .*No space left"):
            bundle.save(saved, jax.tree.map(np.zeros_like, fake_system.variables()), fake_system.meta())
    assert os.listdir(saved.parent) == ["tiny"]
    assert bundle.load(saved).meta.sha256 == before


def test_a_full_disk_leaves_the_old_bundle(saved, monkeypatch):
    def full(self, content):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        with pytest.raises(UserError, match=r"cannot write the model .*No space left on device"):
            bundle.save(saved, fake_system.variables(), fake_system.meta())
    assert os.listdir(saved.parent) == ["tiny"]
    bundle.load(saved)


def test_a_failed_swap_puts_the_old_bundle_back(saved, monkeypatch):
    rename = os.rename
    with monkeypatch.context() as patch:
        patch.setattr(
            "l2s_jax.bundle.model.os.rename",
            lambda src, dst: (_ for _ in ()).throw(OSError(5, "I/O error")) if src.name == "new" else rename(src, dst),
        )
        with pytest.raises(UserError, match="cannot write the model"):
            bundle.save(saved, jax.tree.map(np.zeros_like, fake_system.variables()), fake_system.meta())
    jax.tree.map(np.testing.assert_array_equal, bundle.load(saved).variables, fake_system.variables())


def test_an_unwritable_place_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the model"):
        bundle.save(tmp_path / "file" / "m", tree(), fake_system.meta())


def test_unsafe_names_are_never_written(tmp_path):
    with pytest.raises(ValueError, match="unsafe tensor name"):
        bundle.save(tmp_path / "m", {"a": {"../b": np.zeros(1)}}, fake_system.meta())
    assert os.listdir(tmp_path) == []


def test_rescore_keeps_the_tensors(saved):
    scores = {"data": "synthetic:8?test", "examples": 8, "metrics": {"segmentation": {"mean_f1": 0.75}}}
    bundle.rescore(saved, scores)
    assert bundle.load(saved).meta.scores == scores
    assert bundle.read_meta(saved).mean_f1 == 0.75


@pytest.mark.parametrize("keep", [0, 4, 8, 40, -1])
def test_truncation_is_named(saved, keep):
    file = saved / bundle.TENSOR_FILE
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(UserError, match=r"model.safetensors' is damaged"):
        bundle.load(saved)


def test_one_changed_bit_is_noticed(saved):
    file = saved / bundle.TENSOR_FILE
    content = bytearray(file.read_bytes())
    content[-3] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="sha256 differs"):
        bundle.load(saved)


def test_missing_files(saved):
    (saved / bundle.TENSOR_FILE).unlink()
    with pytest.raises(UserError, match=r"cannot read '.*model.safetensors': No such file"):
        bundle.load(saved)
    (saved / bundle.JSON_FILE).unlink()
    with pytest.raises(UserError, match=r"model.json' does not exist: name the folder of a model"):
        bundle.load(saved)


F32 = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "body", "length"),
    [
        ({"a": F32}, b"", None),  # promises bytes that are not there
        ({"a": F32}, b"x" * 12, None),  # bytes nobody promised
        ({"a": F32}, b"x" * 8, 2**40),  # header longer than the file
        ({"a": {**F32, "shape": [2**62, 4]}}, b"x" * 8, None),
        ({"a": {**F32, "shape": [0, 2**62], "data_offsets": [0, 0]}}, b"", None),
        ({"a": {**F32, "shape": [1] * 71, "data_offsets": [0, 4]}}, b"x" * 4, None),
        ({"a": {"dtype": "F8_E5M2", "shape": [8], "data_offsets": [0, 8]}}, b"x" * 8, None),  # unknown to numpy
        ({"a": {"dtype": "F4", "shape": [16], "data_offsets": [0, 8]}}, b"x" * 8, None),
        ({"a": F32, "b": F32}, b"x" * 8, None),  # overlapping
        ({"../a": F32}, b"x" * 8, None),
        ({"a//b": F32}, b"x" * 8, None),
        ({"a\x1b[2J": F32}, b"x" * 8, None),
        ({"a" + "/a" * 100_000: F32}, b"x" * 8, None),
        ({"a": F32, "a/b": {**F32, "data_offsets": [8, 16]}}, b"x" * 16, None),  # tensor and group
        ({"a/b": F32, "a": {**F32, "data_offsets": [8, 16]}}, b"x" * 16, None),
        (b"[" * 100_000, b"", None),
        (b"\xff\xfe", b"", None),
    ],
)
def test_hostile_tensor_files_are_refused(saved, header, body, length):
    forge(saved, header, body, length)
    with pytest.raises(UserError, match="is damaged") as refusal:
        bundle.load(saved)
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_numbers_of_another_width_are_refused(saved, fake):
    forge(saved, {"parser/params/colour/kernel": {**F32, "dtype": "F64", "shape": [1]}}, b"x" * 8)
    with pytest.raises(UserError, match="is not a model of this system 'fake'"):
        load_model(saved)


@pytest.mark.parametrize("numbers", [2, 2**39])
def test_a_huge_file_is_not_read(saved, numbers):
    """Sparse: 200 GB on paper, that hold what the header says; hashing them would take minutes."""
    forge(saved, {"a": {"dtype": "F32", "shape": [5 * 10**10], "data_offsets": [0, 2 * 10**11]}})
    os.truncate(saved / bundle.TENSOR_FILE, 2 * 10**11)
    edit_json(saved, parameters=numbers)
    with pytest.raises(UserError, match=r"is longer than the 2 numbers of its model\.json|its field 'parameters'"):
        bundle.load(saved)


def test_a_huge_header_is_not_read(saved):
    forge(saved, {}, length=2**39)
    with pytest.raises(UserError, match="header too large"):
        bundle.load(saved)


@pytest.mark.parametrize("name", [bundle.TENSOR_FILE, bundle.JSON_FILE])
def test_nobody_waits_at_a_pipe(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(UserError, match=r"it is no file|holds no model"):
        load_model(saved)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"format": 2}, "format version '2', this l2s reads version 1"),
        ({"name": "../../etc"}, "field 'name'"),
        ({"name": "\x1b[2J"}, "field 'name'"),
        ({"name": 3}, "field 'name'"),
        ({"sha256": "0"}, "field 'sha256'"),
        ({"config": []}, "field 'config'"),
        ({"config": {"system": "other"}}, "field 'config'"),
        ({"parameters": -1}, "field 'parameters'"),
        ({"parameters": True}, "field 'parameters'"),
        ({"scores": {"metrics": 3}}, "field 'scores'"),
        ({"label_set": {"name": "lapa_"}}, "unknown label set 'lapa_' .*'lapa'"),
        ({"label_set": {"name": "lapa", "classes": ["skin"]}}, "other classes of label set 'lapa'"),
        ({"preprocessing": {"image_size": 10**9}}, "field 'image_size'"),
        ({"preprocessing": {"image_size": 16, "range": [0, 1]}}, "field 'range'"),
        ({"preprocessing": {"image_size": 16, "range": [-1, 1], "resize": 3}}, "field 'resize'"),
        (
            {"preprocessing": {"image_size": 16, "range": [-1, 1], "resize": "crop"}},
            "another version .* field 'resize'",
        ),
    ],
)
def test_wrong_descriptions_are_named(saved, fields, sentence):
    edit_json(saved, **fields)
    with pytest.raises(UserError, match=sentence):
        bundle.read_meta(saved)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b"[" * 200_000, b'{"a": 1}', b"\xff", b"9" * 10_000])
def test_other_files_are_no_description(saved, text):
    (saved / bundle.JSON_FILE).write_bytes(text)
    with pytest.raises(UserError, match=r"model.json"):
        bundle.read_meta(saved)


def test_a_long_description_is_not_parsed(saved):
    (saved / bundle.JSON_FILE).write_bytes(b" " * (4 * 2**20) + b"{}")
    with pytest.raises(UserError, match="longer than 4194304 bytes, which no description of a model is"):
        bundle.read_meta(saved)


def test_fit_keeps_empty_groups_and_names_the_first_stranger():
    shape = jax.ShapeDtypeStruct
    loaded = bundle.Bundle("m", fake_system.meta(), {"a": {"w": np.zeros((2, 3), np.float32)}})
    fitted = bundle.fit(loaded, {"a": {"w": shape((2, 3), np.float32)}, "b": {}})
    assert fitted["b"] == {}
    assert fitted["a"]["w"] is loaded.variables["a"]["w"]
    for abstract, sentence in [
        ({"a": {"w": shape((3, 2), np.float32)}}, r"'a/w' has shape \[2, 3\] instead of \[3, 2\]"),
        ({"a": {"w": shape((2, 3), np.int32)}}, "'a/w' is float32 instead of int32"),
        ({"a": {"w": shape((2, 3), np.float32), "v": shape((), np.float32)}}, "'a/v' is missing"),
        ({"a": {}}, "a tensor 'a/w' that the system does not know"),
    ]:
        with pytest.raises(UserError, match=sentence):
            bundle.fit(loaded, abstract)


def test_a_bundle_of_another_model_is_refused(saved, fake):
    wide = {"parser": {"params": {"colour": {"kernel": np.zeros((3, 9), np.float32), "bias": np.zeros(9, np.float32)}}}}
    bundle.save(saved, wide, fake_system.meta())
    with pytest.raises(UserError, match=r"not a model of this system 'fake': tensor '.*' has shape \[.*9\]"):
        load_model(saved)


def test_an_unknown_system_is_refused(saved):
    with pytest.raises(UserError, match="unknown system 'fake'"):
        load_model(saved)


def test_a_config_of_another_version_is_refused(saved, fake):
    config = json.loads((saved / bundle.JSON_FILE).read_text())["config"]
    edit_json(saved, config={**config, "novelty": 1})
    with pytest.raises(UserError, match="made by another version: unknown field 'novelty'; install the l2s_jax that"):
        load_model(saved)


def test_a_config_field_that_was_added_since_takes_its_default(saved, fake):
    config = json.loads((saved / bundle.JSON_FILE).read_text())["config"]
    del config["seed"]
    edit_json(saved, config=config)
    assert load_model(saved).variables


def test_resolve_takes_names_folders_files_and_workdirs(saved, tmp_path, monkeypatch):
    run = tmp_path / "runs" / "demo" / "model"
    fake_system.save(run, name="demo")
    for where in (saved, str(saved), saved / "model.json", saved / "model.safetensors", "models/tiny"):
        assert bundle.resolve(where).resolve() == saved
    assert bundle.resolve("tiny").resolve() == saved
    for where in ("demo", run, run.parent, "runs/demo"):
        assert bundle.resolve(where).resolve() == run
    elsewhere = tmp_path / "elsewhere"
    fake_system.save(elsewhere / "tiny")
    monkeypatch.setenv("L2S_MODELS", f"{tmp_path / 'nowhere'}{os.pathsep}{elsewhere}")
    assert bundle.resolve("tiny") == elsewhere / "tiny"


def test_resolve_says_what_is_wrong(saved, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "photo.jpg").write_text("")
    for where, sentence in [
        ("tony", "no model 'tony': did you mean 'tiny'"),
        ("xyzzy", r"`l2s models` lists the ones there are \(tiny, face-detector-small, l2s-synthetic, parser-small\)"),
        ("empty", "'empty' holds no model"),
        ("photo.jpg", "'photo.jpg' is not a model bundle"),
    ]:
        with pytest.raises(UserError, match=sentence):
            bundle.resolve(where)


def test_newest(saved, tmp_path):
    run = tmp_path / "runs" / "late" / "model"
    fake_system.save(run)
    os.utime(saved / "model.json", (1, 1))
    assert bundle.newest().resolve() == run
    *own, detector, synthetic, parser = bundle.find_models()
    assert [str(p) for p in own] == ["models/tiny", "runs/late/model"]
    assert detector.parent == synthetic.parent == parser.parent == search.SHIPPED


def test_no_models_at_all(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(UserError, match="`l2s demo` trains one"):
        bundle.newest()  # the shipped one is taken by name alone
    monkeypatch.setattr(search, "SHIPPED", tmp_path / "none")
    with pytest.raises(UserError, match="there is none here yet"):
        bundle.resolve("demo")


def test_weights_that_are_not_finite_are_not_exported(saved):
    before = (saved / bundle.TENSOR_FILE).read_bytes()
    broken = fake_system.variables()
    broken["parser"]["params"]["colour"]["bias"] = np.float32([0, np.inf])
    with pytest.raises(UserError, match="'parser/params/colour/bias' holds numbers that are not finite"):
        bundle.save(saved, broken, fake_system.meta())
    assert (saved / bundle.TENSOR_FILE).read_bytes() == before
    with pytest.raises(UserError, match="'gs://bucket/model' is not on this machine"):
        bundle.save("gs://bucket/model", fake_system.variables(), fake_system.meta())


def test_provenance_is_plain_json():
    facts = bundle.provenance(123, ["train", "--config", "a b"])
    assert facts["command"] == "l2s train --config 'a b'"
    assert facts["steps"] == 123
    assert json.loads(json.dumps(facts)) == facts
    assert {"jax", "flax", "l2s_jax"} <= facts["versions"].keys()


def test_mean_f1_needs_a_number():
    meta = fake_system.meta()
    for metrics in ({}, {"segmentation": 3}, {"segmentation": {}}, {"segmentation": {"mean_f1": "x"}}):
        assert dataclasses.replace(meta, scores={"metrics": metrics}).mean_f1 is None
