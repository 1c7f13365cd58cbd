import json
import pickle
import shutil
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from PIL import Image

from input_pipeline import datasets, selection
from input_pipeline.errors import UserError
from input_pipeline.readers.records import manifest
from input_pipeline.readers.records.prepare import prepare
from input_pipeline.readers.records.source import RecordsSource, splits
from tests.helpers.raw_faces import data, make_faces

COUNT = 9


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return make_faces(tmp_path_factory.mktemp("raw"), COUNT, side=32)


@pytest.fixture(scope="module")
def written(tmp_path_factory, raw):
    folder = tmp_path_factory.mktemp("records")
    made = prepare(data({"train": raw, "val": raw}), folder, jobs=1, shard_mb=1e-2)
    assert len(made.manifest.splits["train"].shards) == 3
    return folder


@pytest.fixture
def records(written, tmp_path):
    """A copy to damage."""
    return shutil.copytree(written, tmp_path / "records")


def test_it_is_a_source(written, raw):
    source = datasets.open_source(f"records:{written}?train")
    assert isinstance(source, RecordsSource)
    assert list(datasets.open_splits(f"records:{written}")) == ["train", "val"]
    for k in (8, 0, 4):
        np.testing.assert_array_equal(source[k]["image"], np.asarray(Image.open(raw.image_path(k))))
        np.testing.assert_array_equal(source[k]["mask"], raw.read_mask(k))
        np.testing.assert_array_equal(source.read_mask(k), raw.read_mask(k))
        np.testing.assert_array_equal(source[k]["landmarks"], raw.read_landmarks(k))
    np.testing.assert_array_equal(selection.presence(source), np.ones((COUNT, 11), bool))
    with pytest.raises(IndexError):
        source[COUNT]
    with pytest.raises(IndexError):
        source[-1]


def test_reduced_photos(tmp_path):
    raw = make_faces(tmp_path / "raw", 1, side=64)
    Image.fromarray(np.full((64, 64, 3), 99, np.uint8)).save(tmp_path / "raw" / "0", "JPEG")
    prepare(data({"": raw}), tmp_path / "out", jobs=1)
    example = RecordsSource(tmp_path / "out").read_reduced(0, 16)
    assert example["image"].shape == (16, 16, 3)
    assert example["mask"].shape == (64, 64)
    np.testing.assert_array_equal(example["landmarks"], raw.read_landmarks(0) / 4)


def test_names_are_read_late_and_once(records):
    source = RecordsSource(records, "train")
    assert len(source.names) == COUNT
    assert source.names[2:4] == ("face2", "face3")
    (records / "train.names").unlink()
    assert source.names[-1] == "face8"
    assert "face5" in source.names
    with pytest.raises(UserError, match=r"train.names' does not exist"):
        pickle.loads(pickle.dumps(source)).names[0]  # noqa: S301 - our own bytes


def test_copies_are_small_and_read_the_same(written):
    source = RecordsSource(written, "train")
    before = source[5]
    assert len(pickle.dumps(source)) < 4000
    copy = pickle.loads(pickle.dumps(source))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(copy[5]["image"], before["image"])


def test_many_threads_share_a_source(written):
    source = RecordsSource(written, "train")
    expected = [source.read_record(k).photo for k in range(COUNT)]
    fresh, wrong = RecordsSource(written, "train"), []

    def read(seed):
        for k in np.random.default_rng(seed).integers(0, COUNT, 200):
            if fresh.read_record(int(k)).photo != expected[k]:
                wrong.append(k)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork")  # numpy and ArrayRecord have threads; the reader does without
def test_worker_processes_share_a_source(written, method):
    source = RecordsSource(written, "train")
    expected = [source[k]["image"] for k in range(COUNT)]  # every shard is open when the workers start
    with ProcessPoolExecutor(1, get_context(method)) as pool:
        for k, example in enumerate(pool.map(source.__getitem__, range(COUNT))):
            np.testing.assert_array_equal(example["image"], expected[k])
    np.testing.assert_array_equal(source[3]["image"], expected[3])


def test_missing_things_are_named(written, tmp_path):
    with pytest.raises(UserError, match=r"there are no records in .*nowhere': check the path, or make them"):
        splits(tmp_path / "nowhere")
    with pytest.raises(UserError, match="has no split 'test': name one of train, val"):
        RecordsSource(written, "test")
    with pytest.raises(UserError, match="is divided into splits: name one of train, val"):
        datasets.open_source(f"records:{written}")


def test_missing_and_cut_shards(records):
    shard = records / "train-00001-of-00003.array_record"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1])
    with pytest.raises(UserError, match=rf"has {len(content) - 1} bytes, but its manifest says {len(content)}: copy"):
        RecordsSource(records, "train")
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00003.array_record' is missing"):
        RecordsSource(records, "train")
    assert len(RecordsSource(records, "val")) == COUNT


def test_damaged_shards(records):
    source = RecordsSource(records, "train")
    assert source.verify() == ()
    photo = source.read_record(0).photo
    shard = records / "train-00000-of-00003.array_record"
    content = bytearray(shard.read_bytes())
    content[content.index(photo) + 50] ^= 1
    shard.write_bytes(content)
    (problem,) = source.verify()
    assert (problem.name, problem.path) == (shard.name, str(shard))
    with pytest.raises(UserError, match=r"^record 0 of '.*train-00000-of-00003.array_record' is damaged"):
        RecordsSource(records, "train")[0]
    shard.write_bytes(bytes(len(content)))
    with pytest.raises(UserError, match="holds 0 records, its manifest says 3"):
        RecordsSource(records, "train")[0]
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00000-of-00003.array_record' is missing"):
        pickle.loads(pickle.dumps(source))[0]  # noqa: S301 - our own bytes
    with pytest.raises(UserError, match=r"train-00000-of-00003.array_record' does not exist"):
        source.verify()


def change(records, edit):
    path = records / manifest.FILE
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    "edit",
    [
        lambda m: m.update(format="other"),
        lambda m: m.pop("licence"),
        lambda m: m.update(splits=[]),
        lambda m: m.update(splits={}),
        lambda m: m.update(size=-1),
        lambda m: m.update(title="x" * 5000),
        lambda m: m["splits"].update({"../x": m["splits"]["val"]}),
        lambda m: m["splits"]["train"].update(examples=10),
        lambda m: m["splits"]["train"].update(examples=True),
        lambda m: m["splits"]["train"].update(labelled=10),
        lambda m: m["splits"]["train"].update(heights=[1, 2]),
        lambda m: m["splits"]["train"].update(class_pixels={"skin": 1}),
        lambda m: m["splits"]["train"]["shards"][0].update(file="../../etc/passwd"),
        lambda m: m["splits"]["train"]["shards"][0].update(file="/etc/passwd"),
        lambda m: m["splits"]["train"]["shards"][0].update(file=m["splits"]["train"]["names"]["file"]),
        lambda m: m["splits"]["train"]["shards"][0].update(bytes=1 << 70),
        lambda m: m["splits"]["train"]["shards"][0].update(sha256="0"),
        lambda m: m["splits"]["train"]["presence"].update(bytes=3),
        lambda m: m["splits"]["train"].update(shards=7),
        lambda m: m["splits"]["train"].update(ignored_pixels=1 << 60),
        lambda m: m["splits"]["train"]["class_images"].update(skin=COUNT + 1),
        lambda m: m["splits"]["val"].update(
            examples=0, labelled=0, shards=[], presence={**m["splits"]["val"]["presence"], "bytes": 0}
        ),
        lambda m: m["label_set"].update(classes=["a"]),
    ],
)
def test_hostile_manifests_are_refused(records, edit):
    change(records, edit)
    with pytest.raises(UserError, match=r"manifest.json' (is damaged|was written for other classes)"):
        splits(records)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "3", "\xff", '{"format"'])
def test_damaged_manifests_are_refused(records, text):
    (records / manifest.FILE).write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"manifest.json' is damaged"):
        splits(records)


def test_endless_and_later_manifests_are_refused(records):
    change(records, lambda m: m.update(version=2))
    with pytest.raises(UserError, match="is of version '2': install a newer l2s_jax"):
        splits(records)
    with (records / manifest.FILE).open("wb") as file:
        file.truncate(manifest.MAX_BYTES + 1)
    with pytest.raises(UserError, match="is longer than"):
        splits(records)


def test_manifest_round_trip(written):
    text = (written / manifest.FILE).read_bytes()
    made = manifest.from_json(text, "m")
    assert json.loads(json.dumps(manifest.to_json(made))) == json.loads(text)
