import collections
import json

import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images.augment import Augment
from input_pipeline.images.components import blobs
from input_pipeline.labels import CELEBAMASK, IGNORE, L2S_REGIONS, LAPA
from input_pipeline.loading.mixture import WINDOW, MixtureSchedule
from input_pipeline.loading.train import train_batches
from input_pipeline.types import Weighted

SIDE = 16


class Part:
    """Example i is of the colour `first + i` and of class 2 (the nose in both sets)."""

    def __init__(self, count, label_set, first, **extras):
        self.count, self.label_set, self.first, self.extras = count, label_set, first, extras
        self.names = tuple(map(str, range(count)))

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        image = np.full((SIDE, SIDE, 3), self.first + index, np.uint8)
        return {"image": image, "mask": np.full((SIDE, SIDE), self.label_set["nose"], np.uint8), **self.extras}


FACES = Part(
    5, CELEBAMASK, 0, landmarks=np.full((5, 2), 8, np.float32), identity=np.int32(7), identity_factors=np.ones(3)
)
OTHERS = Part(
    3,
    LAPA,
    100,
    landmarks=np.full((68, 2), 8, np.float32),
    identity=np.int32(7),
    identity_factors=np.zeros(3),
    attribute_factors=np.ones(1),
)
MIXTURE = [Weighted(0.75, FACES), Weighted(0.25, OTHERS)]


def stream(source, **changes):
    options = {"label_set": L2S_REGIONS, "image_size": SIDE, "batch_size": 8, "seed": 3, "augment": Augment.none()}
    return train_batches(source, **(options | changes))


def take(batches, count):
    with batches:
        return [next(batches) for _ in range(count)]


def colours(batches):
    """The colour of every row, which tells its part and its example."""
    return [int(image[8, 8, 0]) for batch in batches for image in batch["image"]]


def assert_same(batches, others):
    for batch, other in zip(batches, others, strict=True):
        assert batch.keys() == other.keys()
        for key in batch:
            np.testing.assert_array_equal(batch[key], other[key])


@pytest.mark.parametrize("weights", [(0.7, 0.3), (1, 1, 1), (5, 0.01), (1 / 3, 2 / 3), (0.2,)])
def test_every_part_has_its_share_of_any_beginning(weights):
    schedule = MixtureSchedule(weights, seed=1)
    windows = 40
    parts = [schedule[draw][0] for draw in range(windows * WINDOW)]
    for draws in range(WINDOW, windows * WINDOW + 1, WINDOW):
        counts = np.bincount(parts[:draws], minlength=len(weights))
        assert np.abs(counts - draws * np.array(weights) / sum(weights)).max() < len(weights)


def test_the_draws_of_a_part_are_numbered_without_gaps_and_far_draws_need_no_near_ones():
    schedule = MixtureSchedule((0.6, 0.1, 0.3), seed=1)
    numbers = collections.defaultdict(list)
    for draw in range(10 * WINDOW):
        part, number = schedule[draw]
        numbers[part].append(number)
    assert all(found == list(range(len(found))) for found in numbers.values())
    far = 10**12
    assert [MixtureSchedule((0.6, 0.1, 0.3), seed=1)[far + k] for k in range(9)] == [
        schedule[far + k] for k in range(9)
    ]


def test_no_row_belongs_to_one_part():
    schedule = MixtureSchedule((1, 1), seed=1)
    by_row = [{schedule[8 * step + row][0] for step in range(50)} for row in range(8)]
    assert by_row == [{0, 1}] * 8
    assert [schedule[k] for k in range(WINDOW)] != [MixtureSchedule((1, 1), seed=2)[k] for k in range(WINDOW)]


def test_a_weight_too_small_to_count():
    with pytest.raises(UserError, match="the weights of a mixture are"):
        MixtureSchedule((1, 1e-9), seed=0)


def test_each_part_visits_each_of_its_examples_once_in_its_own_epoch():
    seen = colours(take(stream(MIXTURE), 24))
    faces, others = [c for c in seen if c < 100], [c - 100 for c in seen if c >= 100]
    assert (len(faces), len(others)) == (144, 48)
    for found, count in ((faces, 5), (others, 3)):
        epochs = [tuple(found[k : k + count]) for k in range(0, len(found) - count + 1, count)]
        assert all(sorted(epoch) == list(range(count)) for epoch in epochs)
        assert len(set(epochs)) > 3


def test_masks_are_in_the_label_set_of_the_batch_whatever_the_part():
    batch = take(stream(MIXTURE, label_set=L2S_REGIONS), 1)[0]
    assert len({colour >= 100 for colour in colours([batch])}) == 2
    assert set(np.unique(batch["mask"])) == {L2S_REGIONS["nose"]}
    assert CELEBAMASK["nose"] != LAPA["nose"] != L2S_REGIONS["nose"]


def test_only_arrays_that_all_parts_have_in_one_shape_are_kept():
    # Not `identity` either: person 7 of one part is not person 7 of the other.
    batch = take(stream(MIXTURE), 1)[0]
    assert set(batch) == {"image", "mask", "weight", "identity_factors"}
    for colour, factors in zip(colours([batch]), batch["identity_factors"], strict=True):
        np.testing.assert_array_equal(factors, [float(colour < 100)] * 3)
    alone = take(stream(OTHERS), 1)[0]
    assert set(alone) == {"image", "mask", "weight", *OTHERS.extras}
    np.testing.assert_array_equal(alone["identity"], np.full(8, 7, np.int32))


def test_a_mixture_of_one_part_is_the_plain_stream():
    assert_same(take(stream([Weighted(0.2, FACES)]), 4), take(stream(FACES), 4))


def test_processes_threads_cache_and_restarts_change_no_mixture():
    changing = {"augment": Augment(noise=1.0)}
    expected = take(stream(MIXTURE, **changing), 5)
    assert_same(take(stream(MIXTURE, threads=4, **changing), 5), expected)
    assert_same(take(stream(MIXTURE, cache=True, **changing), 5), expected)
    parts = [take(stream(MIXTURE, process_index=p, process_count=2, **changing), 5) for p in range(2)]
    joined = [{key: np.concatenate([part[s][key] for part in parts]) for key in expected[s]} for s in range(5)]
    assert_same(joined, expected)
    with stream(MIXTURE, **changing) as batches:
        next(batches)
        next(batches)
        state = json.loads(json.dumps(batches.get_state()))
    resumed = stream(MIXTURE, **changing)
    resumed.set_state(state)
    assert_same(take(resumed, 3), expected[2:])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ([Weighted(0.75, FACES), Weighted(0.25, FACES)], r"has examples \[5, 3\], this run has \[5, 5\]"),
        ([Weighted(0.5, FACES), Weighted(0.5, OTHERS)], r"has shares \[3, 1\], this run has \[1, 1\]"),
        (FACES, r"has examples \[5, 3\], this run has 5"),
    ],
)
def test_a_position_in_another_mixture_is_refused(other, message):
    with pytest.raises(UserError, match=message):
        stream(other).set_state(stream(MIXTURE).get_state())


def test_parts_that_cannot_be_mixed():
    with pytest.raises(UserError, match="the training data holds no example in one of its parts"):
        stream([*MIXTURE, Weighted(1.0, Part(0, LAPA, 0))])
    with pytest.raises(UserError, match="the training data holds no example"):
        stream([])
    with pytest.raises(UserError, match="label set 'fasseg' cannot be mapped to 'celebamask'"):
        stream([*MIXTURE, Weighted(1.0, Part(2, labels.FASSEG, 0))], label_set=CELEBAMASK)


class Halves(Part):
    """Left half nose, right half skin, with an island of one pixel."""

    def __getitem__(self, index):
        example = super().__getitem__(index)
        example["mask"][:, SIDE // 2 :] = self.label_set["skin"]
        example["mask"][3, 3] = self.label_set["skin"]
        return example


def test_blobs_are_those_of_the_mask_that_the_network_sees():
    options = {"blobs": 6, "blob_pixels": 2, "augment": Augment(rotate=30, scale_min=0.8, scale_max=0.9)}
    batch = take(stream(Halves(5, CELEBAMASK, 0), **options), 1)[0]
    assert (batch["blobs"].dtype, batch["blobs"].shape) == (np.int16, (8, SIDE, SIDE))
    for ids, mask in zip(batch["blobs"], batch["mask"], strict=True):
        np.testing.assert_array_equal(ids, blobs(mask, 6, min_pixels=2))
        assert ((ids == -1) == (mask == IGNORE)).all()
    assert (batch["mask"] == IGNORE).any()
    assert batch["blobs"].max() >= 1
    assert "blobs" not in take(stream(Halves(5, CELEBAMASK, 0)), 1)[0]


def test_too_few_blobs_are_named():
    with pytest.raises(UserError, match="1 blobs are too few for a mask of 2 classes"):
        take(stream(Halves(5, CELEBAMASK, 0), blobs=1), 1)
