"""The resume rule: whoever goes on, at whatever number of processes, meets every remaining example once."""

import contextlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment
from input_pipeline.images.framing import FramedSource
from input_pipeline.labels import CELEBAMASK, IGNORE
from input_pipeline.loading.train import train_batches
from input_pipeline.loading.views import RepeatFactorSource
from input_pipeline.types import Weighted

COUNT, BATCH = 22, 4
ALL = Augment(shear=0.1, occlude=1.0, blur=1.0, jpeg=1.0, noise=1.0, grey=0.5)


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Noisy JPEGs of 40 pixels; the mask of example i is all class i % 19, and its landmark file is not there."""
    root = tmp_path_factory.mktemp("faces")
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (root / kind).mkdir()
    for i in range(COUNT):
        noise = rng.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(noise).save(root / "images" / f"{i:02d}.jpg", quality=90)
        Image.new("L", (40, 40), i % len(CELEBAMASK)).save(root / "masks" / f"{i:02d}.png")
    return root


class Numbered:
    """Example i says i in its factors; every fifth one has a necklace."""

    label_set = CELEBAMASK

    def __init__(self, count):
        self.names = tuple(map(str, range(count)))

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        mask = np.full((8, 8), CELEBAMASK["skin"], np.uint8)
        mask[0] = CELEBAMASK["background" if index % 5 else "neck_l"]
        grey = np.full((8, 8, 3), index, np.uint8)
        return {"image": grey, "mask": mask, "identity_factors": np.array([index, len(self)], np.float32)}


def stream(source, process=(0, 1), **changes):
    options = {"label_set": CELEBAMASK, "image_size": 8, "batch_size": BATCH, "seed": 5, "augment": Augment.none()}
    return train_batches(source, process_index=process[0], process_count=process[1], **(options | changes))


def run(source, processes, steps, state=None, **changes):
    """What `processes` processes see in `steps` steps from a state on, row by row, and the state each of them saves."""
    rows, states = [[] for _ in range(steps)], []
    for index in range(processes):
        with stream(source, (index, processes), **changes) as batches:
            if state is not None:
                batches.set_state(state)
            for step in range(steps):
                rows[step] += [tuple(map(int, factors)) for factors in next(batches)["identity_factors"]]
            states.append(json.loads(json.dumps(batches.get_state())))
    assert all(each == states[0] for each in states)
    return [row for step in rows for row in step], states[0]


EPOCHS = 4
STEPS = EPOCHS * COUNT // BATCH


@pytest.fixture(scope="module")
def uninterrupted():
    """What one process sees in some epochs."""
    return run(Numbered(COUNT), 1, STEPS)[0]


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 2), (2, 1), (1, 4), (4, 2)])
@pytest.mark.parametrize("stop", [2, 7])
def test_a_restart_in_the_middle_of_an_epoch_loses_and_repeats_nothing(uninterrupted, before, after, stop):
    source = Numbered(COUNT)
    seen, state = run(source, before, stop)
    rest, _ = run(source, after, STEPS - stop, state)
    order = [number for number, _ in seen + rest]
    for epoch in range(EPOCHS):
        assert sorted(order[epoch * COUNT : (epoch + 1) * COUNT]) == list(range(COUNT))
    assert seen + rest == uninterrupted


@pytest.mark.parametrize(("before", "after"), [(1, 1), (2, 1), (1, 4)])
def test_a_restart_keeps_the_epoch_of_each_part_of_a_mixture(before, after):
    mixture = [Weighted(2.0, Numbered(11)), Weighted(1.0, Numbered(5))]
    seen, state = run(mixture, before, 5)
    rest, _ = run(mixture, after, 25, state)
    for count in (11, 5):
        order = [number for number, part in seen + rest if part == count]
        assert len(order) > 3 * count
        for start in range(0, len(order) - count + 1, count):
            assert sorted(order[start : start + count]) == list(range(count))


GROWING = {"resolution_schedule": ((2, 16), (5, 24)), "image_size": 32, "augment": ALL}
SIDES = (16, 16, 24, 24, 24, 32, 32, 32)


@pytest.fixture(scope="module")
def growing(faces):
    """The first batches of a stream whose pictures grow."""
    with stream(open_source(f"folder:{faces}"), **GROWING) as batches:
        return [next(batches) for _ in SIDES]


def test_sizes_change_at_their_steps_and_examples_do_not(faces, growing):
    assert tuple(batch["image"].shape[1] for batch in growing) == SIDES
    for side in set(SIDES):
        with stream(open_source(f"folder:{faces}"), image_size=side, augment=ALL) as batches:
            alone = [next(batches) for _ in SIDES]
        for step in (step for step, its in enumerate(SIDES) if its == side):
            np.testing.assert_array_equal(growing[step]["mask"], alone[step]["mask"])


@pytest.mark.parametrize("stop", [1, 2, 5, 7])
@pytest.mark.parametrize("options", [{}, {"threads": 4}], ids=["threads", "four threads"])
def test_growing_pictures_go_on_at_every_stage(faces, growing, options, stop):
    check_interrupted(faces, growing, options, stop)


def test_growing_pictures_go_on_in_worker_processes(faces, growing):
    """From the middle of a size on: two processes for the rest of it, two for the next."""
    with stream(open_source(f"folder:{faces}"), **GROWING, workers=2) as batches:
        batches.set_state(batches.get_state() | {"step": 4})
        for expected in growing[4:7]:
            assert_same(next(batches), expected)
        assert batches.get_state()["step"] == 7


def check_interrupted(faces, growing, options, stop):
    state, found = None, []
    for count in (stop, len(growing) - stop):
        with stream(open_source(f"folder:{faces}"), **GROWING, **options) as batches:
            if state is not None:
                batches.set_state(state)
            found += [next(batches) for _ in range(count)]
            state = batches.get_state()
    for ours, theirs in zip(found, growing, strict=True):
        assert_same(ours, theirs)


def assert_same(batch, expected):
    assert batch.keys() == expected.keys()
    for name, array in batch.items():
        np.testing.assert_array_equal(array, expected[name])


@pytest.mark.parametrize("pairs", [((2, 16), (2, 24)), ((3, 16), (2, 24)), ((0, 16),), ((2, 0),)])
def test_sizes_that_make_no_sense(pairs):
    with pytest.raises(UserError, match=r"data.resolution_schedule=.* must be pairs"):
        stream(Numbered(8), resolution_schedule=pairs)


@pytest.mark.parametrize("case", range(5))
def test_any_history_of_restarts_gives_the_stream_of_one_run(case):
    """Up to three parts, balanced and framed or not, fewer examples than a batch or more, stopped anywhere."""
    rng = random.Random(case)
    parts, repeats = [], {}
    for count in rng.sample([1, 2, 3, 7, 13, 29], rng.randint(1, 3)):
        part, repeats[count] = Numbered(count), np.ones(count, int)
        if rng.random() < 0.5:
            part = RepeatFactorSource(part, 1.0, seed=rng.randrange(9))
            repeats[count] = part.repeats
        if rng.random() < 0.5:
            part = FramedSource(part, "face")
        parts.append(Weighted(rng.choice([0.1, 0.3, 1, 2]), part))
    steps = rng.randint(6, 16)
    options = {"batch_size": rng.choice([4, 8, 12]), "seed": rng.randrange(2**32), "threads": 1, "prefetch": 1}
    seen, state, done = [], None, 0
    for stop in (*sorted(rng.sample(range(steps + 1), 2)), steps):
        rows, state = run(parts, rng.choice([1, 2, 4]), stop - done, state, **options)
        seen, done = seen + rows, stop
    assert seen == run(parts, 1, steps, **options)[0]
    for count, expected in repeats.items():
        order = [index for index, part in seen if part == count]
        epoch = expected.sum()
        for start in range(0, len(order) - epoch + 1, epoch):
            np.testing.assert_array_equal(np.bincount(order[start : start + epoch], minlength=count), expected)


def test_every_process_gets_the_same_remaining_examples_as_without_a_restart():
    for index in range(2):
        with stream(Numbered(COUNT), (index, 2)) as batches:
            for _ in range(3):
                next(batches)
            state = batches.get_state()
            expected = [next(batches)["identity_factors"] for _ in range(5)]
        with stream(Numbered(COUNT), (index, 2)) as batches:
            batches.set_state(state)
            np.testing.assert_array_equal([next(batches)["identity_factors"] for _ in range(5)], expected)


@pytest.mark.parametrize("change", [{"batch_size": 8}, {"seed": 6}])
def test_another_order_of_draws_is_no_continuation(change):
    _, state = run(Numbered(COUNT), 1, 2)
    with stream(Numbered(COUNT), **change) as batches, pytest.raises(UserError, match=next(iter(change))):
        batches.set_state(state)
    with stream(Numbered(COUNT - 1)) as batches, pytest.raises(UserError, match="has examples 22, this run has 21"):
        batches.set_state(state)


def bits(batches, start, steps):
    """The bytes of every array of the batches from step `start` on."""
    with batches:
        batches.set_state(batches.get_state() | {"step": start})
        return [{key: array.tobytes() for key, array in next(batches).items()} for _ in range(steps)]


def test_augmented_batches_are_the_same_bytes_in_any_number_of_threads_and_processes(faces):
    source, options = open_source(f"folder:{faces}"), {"augment": ALL, "image_size": 32, "blobs": 24}
    expected = bits(stream(source, threads=1, **options), 4, 4)
    assert len({batch["image"] for batch in expected}) == 4
    assert bits(stream(source, threads=4, prefetch=1, **options), 4, 4) == expected
    assert bits(stream(source, workers=1, prefetch=1, **options), 4, 4) == expected
    assert bits(stream(source, workers=2, prefetch=2, **options), 4, 4) == expected
    assert not multiprocessing.active_children()


def drain(batches, count):
    for _ in range(count):
        next(batches)


def test_an_error_is_the_same_sentence_from_a_thread_and_from_a_worker_process(faces, tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for path in sorted((faces / kind).iterdir())[:8]:
            (tmp_path / kind / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "images" / "03.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    sentences = []
    for workers in (0, 1):
        with stream(open_source(f"folder:{tmp_path}"), workers=workers) as batches:
            with pytest.raises(UserError) as caught:
                drain(batches, 2)  # an epoch
            sentences.append(str(caught.value))
    assert sentences[0] == sentences[1]
    assert str(broken) in sentences[0]


def test_a_worker_that_is_killed_is_one_sentence_and_the_stream_can_go_on(faces):
    source = open_source(f"folder:{faces}")
    with stream(source) as batches:
        expected = [next(batches)["mask"] for _ in range(12)]
    with stream(source, workers=1, prefetch=1) as batches:
        first = next(batches)["mask"]
        os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)
        with pytest.raises(UserError, match="a worker process that prepares batches was killed"):
            drain(batches, 11)
        again = batches.get_state()["step"]
        np.testing.assert_array_equal([first, next(batches)["mask"]], [expected[0], expected[again]])
    assert (expected[0] != IGNORE).any()


KILLED_RUN = """
import multiprocessing, os, signal, sys
sys.path.insert(0, sys.argv[1])
from tests.input_pipeline.loading import test_loader_resume
if __name__ == "__main__":
    batches = test_loader_resume.stream(test_loader_resume.Numbered(8), workers=2, prefetch=1)
    next(batches)
    print(*(worker.pid for worker in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_with_the_process_they_work_for(tmp_path):
    """They inherit its output, which is closed when the last of them has ended."""
    script = tmp_path / "killed.py"
    script.write_text(KILLED_RUN)
    process = subprocess.Popen([sys.executable, script, Path(__file__).parents[3]], stdout=subprocess.PIPE)
    workers = [int(word) for word in process.stdout.readline().split()]
    assert process.wait(timeout=60) == -signal.SIGKILL
    assert len(workers) == 2
    try:
        process.communicate(timeout=20)
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
