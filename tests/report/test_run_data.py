import json

import numpy as np
import pytest

from input_pipeline.errors import UserError
from input_pipeline.labels import L2S_REGIONS
from l2s_jax.report import run_data
from l2s_jax.report.run_data import read, slice_labels


def test_everything_comes_back_as_written(workdir, arrays, metrics):
    evidence = read(workdir)
    assert evidence.metrics == metrics
    assert evidence.label_set.name == "l2s_regions"
    assert len(evidence.history) == 20
    assert evidence.unreadable_rows == 0
    assert set(evidence.arrays) == set(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(evidence.arrays[name], array)


def test_arrays_that_unpack_to_more_than_a_bound_are_refused_before(workdir, monkeypatch):
    np.savez_compressed(workdir / "evaluation.npz", confusion=np.zeros((500, 500)))
    monkeypatch.setattr(run_data, "_MAX_ARRAYS", 1 << 20)
    with pytest.raises(UserError, match=r"evaluation.npz' is damaged \(it claims to hold more than 1 MiB\)"):
        read(workdir)


def test_a_byte_order_mark_is_no_part_of_a_file(workdir):
    before = read(workdir)
    for name in ("config.json", "metrics.json", "metrics.jsonl"):
        (workdir / name).write_bytes(b"\xef\xbb\xbf" + (workdir / name).read_bytes())
    after = read(workdir)
    assert (after.config, after.metrics, after.history) == (before.config, before.metrics, before.history)
    assert after.unreadable_rows == 0


def test_arrays_in_fortran_order_and_compressed(workdir, arrays):
    turned = arrays | {"image": np.asfortranarray(arrays["image"])}
    np.savez_compressed(workdir / "evaluation.npz", **turned)
    np.testing.assert_array_equal(read(workdir).arrays["image"], arrays["image"])


def test_rows_that_are_not_finite_or_cut_short_are_tolerated(workdir):
    lines = [
        '{"step": 1, "train/a": NaN, "train/b": 2.0}',
        '{"step": 2, "train/a": Infinity, "train/b": null, "train/c": "x", "train/d": true}',
        f'{{"step": 3, "train/a": 1{"0" * 400}}}',
        "",
        "[1, 2]",
        '{"train/a": 1}',
        '{"step": NaN, "train/a": 1}',
        '{"step": 4, "tra',
    ]
    (workdir / "metrics.jsonl").write_text("\n".join(lines))
    evidence = read(workdir)
    assert evidence.history == [{"step": 1.0, "train/b": 2.0}, {"step": 2.0}, {"step": 3.0}]
    assert evidence.unreadable_rows == 4


def test_an_empty_folder_is_named_with_the_way_out(tmp_path):
    with pytest.raises(UserError, match=r"l2s demo --workdir") as error:
        read(tmp_path)
    assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("name", ["config.json", "metrics.json"])
@pytest.mark.parametrize("content", ["", "[1]", '{"a": ', "[" * 100_000, '{"a":' * 5000 + "1" + "}" * 5000])
def test_damaged_json_is_named(workdir, name, content):
    (workdir / name).write_text(content)
    with pytest.raises(UserError, match=name):
        read(workdir)


@pytest.mark.parametrize("label_set", [7, ["l2s_regions"], "l2s_region"])
def test_unknown_label_set(workdir, label_set):
    (workdir / "config.json").write_text(json.dumps({"label_set": label_set}))
    with pytest.raises(UserError, match="label"):
        read(workdir)


def test_npz_that_is_no_archive_or_cut_short(workdir):
    path = workdir / "evaluation.npz"
    whole = path.read_bytes()
    np.save(workdir / "one.npy", np.zeros(2))
    npy = (workdir / "one.npy").read_bytes()
    for damaged in (b"", b"PK nonsense", npy, whole[: len(whole) // 2], whole[:-30]):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"evaluation\.npz"):
            read(workdir)


def test_npz_with_flipped_bytes_never_crashes(workdir, arrays):
    path = workdir / "evaluation.npz"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for start in [0, len(whole) - 1200] * 30:  # anywhere, and in the directory of the archive
        damaged = bytearray(whole)
        damaged[rng.integers(start, len(whole))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert set(read(workdir).arrays) <= set(arrays)
        except UserError:
            refused += 1
    assert refused > 20


def test_a_pickle_in_the_npz_is_never_loaded(workdir):
    np.savez(workdir / "evaluation.npz", confusion=np.array([{"a": 1}], dtype=object))
    with pytest.raises(UserError, match="damaged"):
        read(workdir)


def test_slices_may_leave_out_the_background(workdir, arrays):
    arrays |= {"slices": np.arange(1, 6, dtype=np.uint8), "effect": np.eye(5), "regions": arrays["regions"][:, 1:]}
    np.savez(workdir / "evaluation.npz", **{name: arrays[name] for name in ("slices", "effect", "regions")})
    assert [label.name for label in slice_labels(read(workdir).arrays, L2S_REGIONS)] == list(L2S_REGIONS.names[1:])
