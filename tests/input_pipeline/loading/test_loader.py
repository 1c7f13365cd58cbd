import json
import multiprocessing
import threading

import cv2
import numpy as np
import pytest
from PIL import Image

from input_pipeline import labels
from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment
from input_pipeline.images.geometry import fit_square
from input_pipeline.labels import CELEBAMASK, IGNORE, L2S_REGIONS
from input_pipeline.loading.train import eval_batches, train_batches

COUNT = 7


@pytest.fixture
def faces(tmp_path):
    """Seven faces; example i is grey 10 * i with the mask of class i, of 20 + i rows and 24 columns."""
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(COUNT):
        Image.new("RGB", (24, 20 + i), (10 * i,) * 3).save(tmp_path / "images" / f"{i}.png")
        Image.new("L", (24, 20 + i), i).save(tmp_path / "masks" / f"{i}.png")
    return open_source(f"folder:{tmp_path}")


class LandmarkSource:
    """Five faces with everything an example may carry."""

    label_set = CELEBAMASK
    names = tuple("abcde")

    def __len__(self):
        return 5

    def __getitem__(self, index):
        return {
            "image": np.full((16, 16, 3), index, np.uint8),
            "mask": np.full((16, 16), index, np.uint8),
            "landmarks": np.full((5, 2), index, np.float32),
            "identity": np.int64(index),
            "identity_factors": np.full(3, index, np.float64),
            "attribute_factors": np.full(2, -index, np.float32),
        }


def stream(source, **changes):
    options = {
        "label_set": CELEBAMASK,
        "image_size": 16,
        "batch_size": 6,
        "seed": 3,
        "augment": Augment(blur=0.5, jpeg=0.5),
    }
    return train_batches(source, **(options | changes))


def take(batches, count):
    return [next(batches) for _ in range(count)]


def assert_same(batches, others):
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            np.testing.assert_array_equal(batch[key], other[key])


def ids_seen(batch):
    """The class that marks each row, i.e. the index of its example."""
    return [int(np.unique(mask[mask != IGNORE])[0]) for mask in batch["mask"]]


def evaluate(source, **changes):
    options = {"label_set": CELEBAMASK, "image_size": 16, "batch_size": 3}
    return list(eval_batches(source, **(options | changes)))


def test_train_batch_format(faces):
    with stream(faces) as batches:
        batch = next(batches)
    assert {key: (array.shape, array.dtype.name) for key, array in batch.items()} == {
        "image": ((6, 16, 16, 3), "uint8"),
        "mask": ((6, 16, 16), "uint8"),
        "weight": ((6,), "float32"),
    }
    assert batch["image"].min() < batch["image"].max()
    assert (batch["weight"] == 1).all()


def test_image_and_remapped_mask(faces):
    with stream(faces, augment=Augment.none(), label_set=L2S_REGIONS, batch_size=COUNT) as batches:
        batch = next(batches)
    table = labels.remap(CELEBAMASK, L2S_REGIONS)
    order = np.argsort(batch["image"][:, 8, 8, 0])
    np.testing.assert_array_equal(batch["image"][order, 8, 8, 0], 10 * np.arange(COUNT))
    np.testing.assert_array_equal(batch["mask"][order, 8, 8], table[:COUNT])


def test_optional_arrays_come_along():
    with stream(LandmarkSource(), augment=Augment.none(), batch_size=5) as batches:
        batch = next(batches)
    index = batch["mask"][:, 8, 8].astype(np.float32)
    np.testing.assert_array_equal(batch["landmarks"], np.broadcast_to(index[:, None, None], (5, 5, 2)))
    np.testing.assert_array_equal(batch["identity"], index)
    np.testing.assert_array_equal(batch["identity_factors"], np.broadcast_to(index[:, None], (5, 3)))
    np.testing.assert_array_equal(batch["attribute_factors"], np.broadcast_to(-index[:, None], (5, 2)))
    assert {batch[key].dtype.name for key in ("landmarks", "identity_factors", "attribute_factors")} == {"float32"}
    assert batch["identity"].dtype == np.int32


def test_each_epoch_visits_every_example_once_in_a_new_order(faces):
    with stream(faces, augment=Augment.none(), batch_size=5) as batches:
        order = [i for batch in take(batches, 7) for i in ids_seen(batch)]
    epochs = [tuple(order[k : k + COUNT]) for k in range(0, 35, COUNT)]
    assert all(sorted(epoch) == list(range(COUNT)) for epoch in epochs)
    assert len(set(epochs)) > 3


def test_an_example_looks_different_in_every_epoch():
    with stream(LandmarkSource(), batch_size=1, augment=Augment(rotate=20)) as batches:
        views = take(batches, 20)
    looks = {tuple(batch["landmarks"].ravel()) for batch in views}
    assert len(looks) == 20


def test_seeds_differ_and_repeat(faces):
    with stream(faces) as one, stream(faces) as same, stream(faces, seed=4) as other:
        first = take(one, 2)
        assert_same(first, take(same, 2))
        assert (first[0]["image"] != next(other)["image"]).any()


@pytest.mark.parametrize("options", [{"threads": 4, "prefetch": 1}, {"threads": 1, "prefetch": 9}, {"cache": True}])
def test_threads_and_cache_change_nothing(faces, options):
    with stream(faces) as one, stream(faces, **options) as other:
        assert_same(take(one, 4), take(other, 4))


@pytest.mark.parametrize("process_count", [2, 3, 6])
def test_processes_share_the_same_global_batch(faces, process_count):
    with stream(faces) as whole:
        expected = take(whole, 3)
    parts = []
    for p in range(process_count):
        with stream(faces, process_index=p, process_count=process_count) as part:
            parts.append(take(part, 3))
    joined = [{key: np.concatenate([part[s][key] for part in parts]) for key in expected[s]} for s in range(3)]
    assert_same(joined, expected)


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_restored_state_goes_on_bit_for_bit(faces, steps):
    with stream(faces) as batches:
        take(batches, steps)
        state = json.loads(json.dumps(batches.get_state()))
        expected = take(batches, 3)
        batches.set_state(state)
        assert_same(take(batches, 3), expected)
    with stream(faces) as fresh:
        take(fresh, 2)
        fresh.set_state(state)
        assert fresh.get_state() == state
        assert_same(take(fresh, 3), expected)


def test_state_of_one_process_resumes_two(faces):
    with stream(faces) as whole:
        take(whole, 2)
        state, expected = whole.get_state(), next(whole)
    for p in range(2):
        with stream(faces, process_index=p, process_count=2) as part:
            part.set_state(state)
            assert_same([next(part)], [{key: array[3 * p : 3 * p + 3] for key, array in expected.items()}])


@pytest.mark.parametrize(("key", "value"), [("seed", 9), ("batch_size", 12), ("examples", 3)])
def test_state_of_another_stream_is_refused(faces, key, value):
    with stream(faces) as batches, pytest.raises(UserError, match=f"has {key} {value}, this run has"):
        batches.set_state(batches.get_state() | {key: value})


def test_close_ends_the_threads_and_the_stream_can_go_on(faces):
    before = set(threading.enumerate())
    batches = stream(faces)
    first = take(batches, 2)
    batches.close()
    batches.close()
    started = set(threading.enumerate()) - before  # others' threads may end meanwhile, so they are not counted
    for thread in started:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in started)
    third = next(batches)
    batches.close()
    with stream(faces) as same:
        assert_same([*first, third], take(same, 3))


def test_worker_processes_give_the_same_batches_and_leave_nothing_behind(faces, tmp_path):
    with stream(faces) as batches:
        expected = take(batches, 3)
    with stream(faces, workers=2, prefetch=1) as batches:
        assert_same(take(batches, 3), expected)
        assert batches.get_state()["step"] == 3
        assert len(multiprocessing.active_children()) == 2
        (tmp_path / "images" / "4.png").write_bytes(b"\x89PNG\r\n\x1a\n")
        with pytest.raises(UserError, match=r"4\.png' is not a readable image"):
            take(batches, 20)
    assert not multiprocessing.active_children()


class ThreadCounts:
    """Pictures as bright as OpenCV has threads where they are read."""

    label_set, names = CELEBAMASK, ("a",)

    def __len__(self):
        return 1

    def __getitem__(self, index):
        image = np.full((16, 16, 3), cv2.getNumThreads(), np.uint8)
        return {"image": image, "mask": np.zeros((16, 16), np.uint8)}


@pytest.mark.parametrize(("workers", "expected"), [(0, 3), (1, 1)])
def test_opencv_has_one_thread_in_workers_and_what_the_user_gave_it_here(workers, expected):
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with stream(ThreadCounts(), workers=workers, augment=Augment.none()) as batches:
            image = next(batches)["image"]
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)
    assert set(image.ravel()) == {expected}


@pytest.mark.parametrize("cache", [False, True])
def test_unreadable_image_is_named_again_and_again(faces, tmp_path, cache):
    (tmp_path / "images" / "4.png").write_text("x")
    with stream(faces, cache=cache) as batches:
        for _ in range(2):
            with pytest.raises(UserError, match=r"4\.png' is not a readable image"):
                take(batches, 3)


def test_impossible_requests(faces, tmp_path):
    with pytest.raises(UserError, match="a batch of 6 does not divide among 4 processes"):
        stream(faces, process_count=4)
    with pytest.raises(UserError, match="a batch of 0"):
        eval_batches(faces, label_set=CELEBAMASK, image_size=16, batch_size=0)
    with pytest.raises(UserError, match="a cache lives in one process"):
        stream(faces, workers=1, cache=True)
    (tmp_path / "labels.json").write_text('{"label_set": "l2s_regions"}')
    with pytest.raises(UserError, match="cannot be mapped"):
        stream(open_source(f"folder:{tmp_path}"))


@pytest.mark.parametrize("process_count", [1, 3])
@pytest.mark.parametrize("batch_size", [3, 6, 9])
def test_evaluation_sees_each_example_exactly_once(faces, batch_size, process_count):
    parts = [
        evaluate(faces, batch_size=batch_size, process_index=p, process_count=process_count)
        for p in range(process_count)
    ]
    local = batch_size // process_count
    assert {len(part) for part in parts} == {-(-COUNT // batch_size)}
    seen = []
    for batches in zip(*parts, strict=True):
        for batch, full_size_masks in batches:
            assert batch["image"].shape == (local, 16, 16, 3)
            assert batch["mask"].shape == (local, 16, 16)
            assert len(full_size_masks) == local
            for weight, mask, image, native in zip(
                batch["weight"], batch["mask"], batch["image"], full_size_masks, strict=True
            ):
                if weight:
                    seen.append(int(mask[8, 8]))
                    assert image[8, 8, 0] == 10 * seen[-1]
                    np.testing.assert_array_equal(native, np.full((20 + seen[-1], 24), seen[-1]))
                else:
                    assert native is None
                    assert (mask == IGNORE).all()
                    assert (image == 0).all()
    assert seen == list(range(COUNT))


def test_evaluation_rows_are_fitted_faces_in_the_label_set(faces):
    (batch, full_size_masks), *_ = evaluate(faces, label_set=L2S_REGIONS)
    table = labels.remap(CELEBAMASK, L2S_REGIONS)
    for row in range(3):
        square = fit_square(faces[row], 16)
        np.testing.assert_array_equal(batch["mask"][row], table[square["mask"]])
        np.testing.assert_array_equal(batch["image"][row], square["image"])
        np.testing.assert_array_equal(full_size_masks[row], table[faces[row]["mask"]])
        assert full_size_masks[row].dtype == np.uint8


def test_evaluation_pads_the_optional_arrays():
    (_, _), (batch, full_size_masks) = evaluate(LandmarkSource())
    np.testing.assert_array_equal(batch["weight"], [1, 1, 0])
    np.testing.assert_array_equal(batch["landmarks"][:, 0, 0], [3, 4, 0])
    assert full_size_masks[2] is None


def test_photos_without_labels_are_ignored_everywhere(faces, tmp_path):
    for path in (tmp_path / "masks").iterdir():
        path.unlink()
    (tmp_path / "masks").rmdir()
    source = open_source(f"folder:{tmp_path}", require_masks=False)
    (batch, full_size_masks), *_ = evaluate(source)
    assert (batch["mask"] == IGNORE).all()
    assert (batch["weight"] == 1).all()
    np.testing.assert_array_equal(full_size_masks[2], np.full((22, 24), IGNORE))


def test_evaluation_names_an_unreadable_mask(faces, tmp_path):
    (tmp_path / "masks" / "5.png").write_text("x")
    batches = eval_batches(faces, label_set=CELEBAMASK, image_size=16, batch_size=3)
    next(batches)
    with pytest.raises(UserError, match=r"masks/5\.png' is not a readable image"):
        next(batches)


def test_evaluation_reads_ahead_but_not_everything():
    reads = []

    class Counting(LandmarkSource):
        names = tuple(str(k) for k in range(100))

        def __len__(self):
            return 100

        def __getitem__(self, index):
            reads.append(index)
            return super().__getitem__(index % 5)

    batches = eval_batches(Counting(), label_set=CELEBAMASK, image_size=16, batch_size=4, threads=2)
    next(batches)
    batches.close()
    assert 4 <= len(reads) <= 4 + 4 + 2 + 1


@pytest.mark.parametrize("odd", [{}, {"landmarks": np.zeros((68, 2), np.float32)}])
def test_faces_that_differ_in_what_they_carry_are_one_sentence(odd):
    class Uneven(LandmarkSource):
        def __getitem__(self, index):
            example = super().__getitem__(index)
            return example if index else {"image": example["image"], "mask": example["mask"]} | odd

    with stream(Uneven(), batch_size=5) as batches, pytest.raises(UserError, match="not all faces have 'landmarks'"):
        next(batches)
    with pytest.raises(UserError, match="not all faces have 'landmarks'"):
        evaluate(Uneven())


def test_data_without_examples():
    class Empty(LandmarkSource):
        def __len__(self):
            return 0

    with pytest.raises(UserError, match="evaluation data holds no example"):
        evaluate(Empty())
    with pytest.raises(UserError, match="training data holds no example"):
        stream(Empty())
