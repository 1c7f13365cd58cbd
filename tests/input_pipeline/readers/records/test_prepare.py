import hashlib
import json
import os

import numpy as np
import pytest
from PIL import Image

from input_pipeline import label_files, lock
from input_pipeline.errors import UserError
from input_pipeline.readers.downloads.source import LayoutSource
from input_pipeline.readers.records.prepare import Progress, open_data, prepare
from input_pipeline.readers.records.source import RecordsSource, splits
from input_pipeline.types import Problem
from tests.helpers.raw_faces import contents, data, make_faces, write_folder


@pytest.fixture
def faces(tmp_path):
    """The root of a folder layout with two splits, photos as PNG and JPEG."""
    root = tmp_path / "raw"
    write_folder(root / "train", [f"t{k}" for k in range(5)])
    write_folder(root / "train", ["photo"], suffix=".jpg", size=(40, 30))
    write_folder(root / "val", ["v0", "v1"])
    return root


def test_folder_round_trips_bit_by_bit(faces, tmp_path):
    raw = open_data(str(faces), "folder")
    made = prepare(raw, tmp_path / "out", jobs=1)
    assert splits(tmp_path / "out") == ("train", "val")
    assert made.broken.count == 0
    for split in ("train", "val"):
        before, after = LayoutSource(raw.raws[split]), RecordsSource(tmp_path / "out", split)
        assert tuple(after.names) == tuple(before.names)
        assert after.label_set == before.label_set
        for k in range(len(before)):
            assert after[k].keys() == before[k].keys()
            for key, array in before[k].items():
                np.testing.assert_array_equal(after[k][key], array)
            assert after.read_record(k).photo == raw.raws[split].image_path(k).read_bytes()


def test_data_that_are_not_divided(faces, tmp_path):
    prepare(open_data(str(faces / "val"), "folder"), tmp_path / "out", jobs=1)
    assert splits(tmp_path / "out") == ()
    assert tuple(RecordsSource(tmp_path / "out").names) == ("v0", "v1")


def test_landmarks_and_sizes_round_trip(tmp_path):
    raw = make_faces(tmp_path / "raw", 3, side=32)
    prepare(data({"": raw}), tmp_path / "whole", jobs=1)
    prepare(data({"": raw}), tmp_path / "small", jobs=1, size=8)
    whole, small = RecordsSource(tmp_path / "whole"), RecordsSource(tmp_path / "small")
    np.testing.assert_array_equal(whole[2]["landmarks"], raw.read_landmarks(2))
    np.testing.assert_array_equal(small[2]["landmarks"], raw.read_landmarks(2) / 4)
    assert small[2]["image"].shape == (8, 8, 3)
    # nearest: the id at the centre of each pixel, which lies on the corner of four
    np.testing.assert_array_equal(small[2]["mask"], raw.read_mask(2)[2::4, 2::4])
    assert small.read_record(2).photo.startswith(b"\xff\xd8")
    smooth = np.full((64, 64, 3), (200, 30, 90), np.uint8)
    Image.fromarray(smooth).save(tmp_path / "raw" / "0", "BMP")
    raw = make_faces(tmp_path / "raw2", 1, side=64)
    Image.fromarray(smooth).save(tmp_path / "raw2" / "0", "BMP")
    prepare(data({"": raw}), tmp_path / "third", jobs=1, size=32)
    assert np.abs(RecordsSource(tmp_path / "third")[0]["image"].astype(int) - smooth[:32, :32]).max() <= 3


def test_photos_that_are_small_enough_keep_their_bytes(tmp_path):
    raw = make_faces(tmp_path / "raw", 2)
    prepare(data({"": raw}), tmp_path / "out", jobs=1, size=64)
    assert RecordsSource(tmp_path / "out").read_record(1).photo == (tmp_path / "raw" / "1").read_bytes()


@pytest.mark.parametrize("form", ["WEBP", "BMP", "TIFF", "GIF"])
def test_other_formats_become_png_of_the_same_pixels(tmp_path, form):
    raw = make_faces(tmp_path / "raw", 1)
    Image.effect_noise((16, 16), 80).convert("RGB").save(tmp_path / "raw" / "0", form)
    shown = np.asarray(Image.open(tmp_path / "raw" / "0").convert("RGB"))
    prepare(data({"": raw}), tmp_path / "out", jobs=1)
    source = RecordsSource(tmp_path / "out")
    assert source.read_record(0).photo.startswith(b"\x89PNG")
    np.testing.assert_array_equal(source[0]["image"], shown)


def test_manifest_numbers(faces, tmp_path):
    raw = open_data(str(faces), "folder")
    made = prepare(raw, tmp_path / "out", jobs=1).manifest
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert content["layout"] == "folder"
    assert content["label_set"] == label_files.to_json(raw.raws["train"].label_set)
    train = content["splits"]["train"]
    masks = [np.asarray(Image.open(path)) for path in sorted((faces / "train" / "masks").iterdir())]
    everything = np.concatenate([mask.ravel() for mask in masks])
    for number, name in enumerate(raw.raws["train"].label_set.names):
        assert train["class_pixels"][name] == (everything == number).sum()
        assert train["class_images"][name] == sum((mask == number).any() for mask in masks)
    assert train["ignored_pixels"] == (everything == 255).sum() > 0
    assert (train["examples"], train["labelled"], train["broken"]) == (6, 6, 0)
    assert (train["heights"], train["widths"]) == ([12, 12, 40], [10, 10, 30])
    for entry in (*train["shards"], train["names"], train["presence"]):
        stored = (tmp_path / "out" / entry["file"]).read_bytes()
        assert (entry["bytes"], entry["sha256"]) == (len(stored), hashlib.sha256(stored).hexdigest())
    assert (tmp_path / "out" / "train.names").read_text().split() == ["photo", "t0", "t1", "t2", "t3", "t4"]
    presence = RecordsSource(tmp_path / "out", "train").presence()
    np.testing.assert_array_equal(presence, [np.isin(np.arange(19), mask) for mask in masks])
    assert made.splits["train"].class_images["hair"] == presence[:, 13].sum()


def test_faces_without_masks(faces, tmp_path):
    for path in (faces / "val" / "masks").iterdir():
        path.unlink()
    (faces / "val" / "masks").rmdir()
    made = prepare(open_data(str(faces), "folder", ["val"]), tmp_path / "out", jobs=1).manifest
    assert made.splits["val"].labelled == 0
    with pytest.raises(UserError, match=r"2 faces of split 'val' .* have no mask"):
        RecordsSource(tmp_path / "out", "val")
    source = RecordsSource(tmp_path / "out", "val", require_masks=False)
    assert source[0].keys() == {"image"}
    assert source.read_mask(0) is None
    assert not source.presence().any()


def test_bytes_do_not_depend_on_the_number_of_processes(tmp_path):
    raws = {"a": make_faces(tmp_path / "a", 7, side=64), "b": make_faces(tmp_path / "b", 2, side=64)}
    seen = []
    for jobs in (1, 2):
        prepare(data(raws), tmp_path / f"out{jobs}", jobs=jobs, shard_mb=1e-2, progress=seen.append)
        assert seen[-1] == Progress(9, 9, 0)
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    assert sum(name.endswith(".array_record") for name in contents(tmp_path / "out1")) == 9


def test_a_second_call_changes_nothing(tmp_path):
    raws = {"": make_faces(tmp_path / "raw", 3)}
    prepare(data(raws), tmp_path / "out", jobs=1)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.array_record")}
    first = contents(tmp_path / "out")
    seen = []
    prepare(data(raws), tmp_path / "out", jobs=1, progress=seen.append)
    assert seen == [Progress(3, 3, 0)]
    assert contents(tmp_path / "out") == first
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_other_arguments_are_refused(tmp_path):
    raw = make_faces(tmp_path / "raw", 3)
    prepare(data({"": raw}), tmp_path / "out", jobs=1)
    before = contents(tmp_path / "out")
    for match, given, options in (
        ("--size none, not 8", data({"": raw}), {"size": 8}),
        ("--shard-mb 256, not 1", data({"": raw}), {"shard_mb": 1}),
        ("--layout toys, not helen", data({"": raw}, "helen"), {}),
        ("--splits none, not val", data({"val": raw}), {}),
    ):
        with pytest.raises(UserError, match=f"^these records were begun with {match}: give the same options, or"):
            prepare(given, tmp_path / "out", jobs=1, **options)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("face0", "face1", "face2", "new"), r"1 faces were added \('new'\)"),
        (("face0", "face2"), r"1 faces are gone \('face1'\)"),
        (("face1", "face0", "face2"), "stand in another order"),
    ],
)
def test_changed_sources_are_refused(tmp_path, names, sentence):
    raw = make_faces(tmp_path / "raw", 4)
    first = raw.__class__(raw.root, raw.names[:3])
    prepare(data({"": first}), tmp_path / "out", jobs=1, shard_mb=1e-5)
    with pytest.raises(UserError, match=sentence):
        prepare(data({"": raw.__class__(raw.root, names)}), tmp_path / "out", jobs=1, shard_mb=1e-5)


def test_folders_with_other_things_are_refused(tmp_path):
    raws = {"": make_faces(tmp_path / "raw", 1)}
    with pytest.raises(UserError, match="is not empty and holds no records"):
        prepare(data(raws), tmp_path / "raw", jobs=1)
    assert {path.name for path in (tmp_path / "raw").iterdir()} == {"0"}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "plan.json").write_text('{"options": 3}')
    with pytest.raises(UserError, match=r"plan.json' is damaged"):
        prepare(data(raws), tmp_path / "out", jobs=1)
    with pytest.raises(UserError, match="cannot write into the folder"):
        prepare(data(raws), tmp_path / "raw" / "0" / "out", jobs=1)


@pytest.mark.parametrize("split", ["../up", "a b", ".hidden", "x" * 65, "a\n"])
def test_splits_that_cannot_name_files_are_refused(tmp_path, split):
    raws = {split: make_faces(tmp_path / "raw", 1)}
    with pytest.raises(UserError, match="cannot name files"):
        prepare(data(raws), tmp_path / "out", jobs=1)


def test_two_at_once_refuse_each_other(tmp_path):
    raws = {"": make_faces(tmp_path / "raw", 1)}
    (tmp_path / "out").mkdir()
    with lock.hold(tmp_path / "out"), pytest.raises(UserError, match=r"^process \d+ on .* works in '.*out': wait"):
        prepare(data(raws), tmp_path / "out", jobs=1)
    assert prepare(data(raws), tmp_path / "out", jobs=1).manifest.splits[""].examples == 1


def test_broken_faces_stop_short_and_are_fixed(tmp_path):
    raw = make_faces(tmp_path / "raw", 6)
    clean = contents_of(prepare_into(tmp_path / "clean", raw))
    whole = (tmp_path / "raw" / "3").read_bytes()
    (tmp_path / "raw" / "3").write_bytes(whole[:-30])
    made = prepare_into(tmp_path / "out", raw)
    assert made[0].manifest is None
    assert not (tmp_path / "out" / "manifest.json").exists()
    (line,) = (tmp_path / "out" / "broken.jsonl").read_text().splitlines()
    problem = json.loads(line)
    assert (problem["split"], problem["name"], problem["path"]) == ("", "face3", str(tmp_path / "raw" / "3"))
    assert problem["reason"].startswith("is damaged and cannot be decoded")
    with pytest.raises(UserError, match="are not finished: run their `l2s data prepare` again"):
        RecordsSource(tmp_path / "out")
    shards = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.array_record")}
    skipped = prepare_into(tmp_path / "out", raw, skip_broken=True)[0].manifest
    assert (skipped.splits[""].examples, skipped.splits[""].broken) == (5, 1)
    assert tuple(RecordsSource(tmp_path / "out").names) == ("face0", "face1", "face2", "face4", "face5")
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    assert prepare_into(tmp_path / "out", raw)[0].broken.count == 1  # not fixed: looked at, nothing written
    assert {path: path.stat().st_mtime_ns for path in shards} == shards
    (tmp_path / "raw" / "3").write_bytes(whole)
    assert prepare_into(tmp_path / "out", raw, skip_broken=True)[0].broken.count == 0
    assert [path.name for path, time in shards.items() if path.stat().st_mtime_ns != time] == [
        "faces-00003-of-00006.array_record"
    ]
    assert contents(tmp_path / "out") == clean


def prepare_into(folder, raw, **options):
    return prepare(data({"": raw}), folder, jobs=1, shard_mb=1e-5, **options), folder


def contents_of(made):
    return contents(made[1])


def test_problems_of_the_layout_are_fixed_or_removed(tmp_path):
    """A face without its mask joins the shard before it when it gets one; a broken photo may also be removed."""
    root = tmp_path / "raw"
    write_folder(root, ["a", "b", "c", "d"])
    (root / "masks" / "b.png").rename(tmp_path / "kept.png")
    (root / "images" / "d.png").write_bytes(b"no picture")

    def run():
        return prepare(open_data(str(root), "folder"), tmp_path / "out", jobs=1, shard_mb=1e-4)

    made = run()
    assert [problem.name for _, problem in made.broken.first] == ["b", "d"]
    assert made.broken.first[0][1].reason.startswith("has no mask 'masks/b.png'")
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.array_record")}
    assert len(before) == 3
    (tmp_path / "kept.png").rename(root / "masks" / "b.png")
    for folder in ("images", "masks"):
        (root / folder / "d.png").unlink()
    assert run().manifest.splits[""].examples == 3
    source = RecordsSource(tmp_path / "out")
    assert tuple(source.names) == ("a", "b", "c")
    assert not (tmp_path / "out" / "broken.jsonl").exists()
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.array_record")}
    assert [name for name in before if before[name] == after[name]] == ["faces-00001-of-00003.array_record"]


def test_nothing_but_broken_faces(tmp_path):
    raw = make_faces(tmp_path / "raw", 1, problems=(Problem("x", "raw/x", "has no mask"),))
    (tmp_path / "raw" / "0").write_bytes(b"")
    with pytest.raises(UserError, match="no face can be stored: fix the files listed in"):
        prepare_into(tmp_path / "out", raw, skip_broken=True)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_run_that_was_killed_before_its_plan_was_there(faces, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    for name in (".lock", ".plan.json.123.part", ".DS_Store"):
        (out / name).write_bytes(b"{")
    assert prepare(open_data(str(faces), "folder"), out, jobs=1).manifest is not None
    assert not (out / ".plan.json.123.part").exists()


@pytest.mark.parametrize(
    "edit",
    [
        lambda c: c.update(pixels=[1, 2]),
        lambda c: c.update(pixels=[10**30] * 256),
        lambda c: c.update(labelled="x"),
        lambda c: c.update(sha256=5),
        lambda c: c.update(classes=10**12),
        lambda c: c.update(sizes=[[1, 2]]),
        lambda c: c.update(broken=[["a", "b", "c"]]),
        lambda c: c.pop("names"),
    ],
)
def test_a_shard_whose_contents_were_edited_is_written_anew(faces, tmp_path, edit):
    raw = open_data(str(faces), "folder")
    prepare(raw, tmp_path / "out", jobs=1)
    before = contents(tmp_path / "out")
    path = tmp_path / "out" / "train-00000-of-00001.json"
    told = json.loads(path.read_text())
    edit(told["contents"])
    path.write_text(json.dumps(told))
    prepare(raw, tmp_path / "out", jobs=1)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize(
    "edit",
    [
        lambda p: p["splits"]["train"].update(shards=[[[1]]]),
        lambda p: p["splits"]["train"].update(shards=[]),
        lambda p: p["splits"]["train"].update(problems=[["x"]]),
        lambda p: p.update(options=3),
    ],
)
def test_an_edited_plan_is_refused(faces, tmp_path, edit):
    raw = open_data(str(faces), "folder")
    prepare(raw, tmp_path / "out", jobs=1)
    path = tmp_path / "out" / "plan.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=r"plan.json' is damaged: delete the folder"):
        prepare(raw, tmp_path / "out", jobs=1)


def test_paths_that_are_not_utf8(faces, tmp_path):
    raw = open_data(str(faces), "folder")
    out = tmp_path / os.fsdecode(b"out\xff")
    with pytest.raises(UserError, match="is not UTF-8"):
        prepare(raw, out, jobs=1)
    assert not out.exists()
    prepare(raw, tmp_path / "out", jobs=1)
    (tmp_path / "out").rename(out)
    with pytest.raises(UserError, match="is not UTF-8"):
        RecordsSource(out, "train")


def test_opening_raw_data(faces):
    assert list(open_data(str(faces), "folder", ["val"]).raws) == ["val"]
    with pytest.raises(UserError, match="has no split 'test': name one of train, val"):
        open_data(str(faces), "folder", ["val", "test"])
    with pytest.raises(UserError, match="does not exist"):
        open_data(str(faces / "none"), "folder")
    with pytest.raises(UserError, match="unknown layout 'foldr'"):
        open_data(str(faces), "foldr")
