"""The source contract."""

import pickle
import re
import zlib

import numpy as np
import pytest

from input_pipeline.datasets import open_source
from input_pipeline.errors import UserError
from input_pipeline.labels import CELEBAMASK
from input_pipeline.synthetic import SyntheticSource


def test_random_access():
    source = SyntheticSource(count=5, size=32, seed=3)
    assert len(source) == 5
    assert source.label_set is CELEBAMASK
    assert list(source.names) == [f"train-{k:06d}" for k in range(5)]
    assert source.names[1:3] == ("train-000001", "train-000002")
    last = source[4]
    assert set(last) == {"image", "mask", "landmarks", "identity", "identity_factors", "attribute_factors"}
    np.testing.assert_array_equal(last["image"], source[-1]["image"])
    np.testing.assert_array_equal(last["image"], source[np.int64(4)]["image"])
    for index in (5, -6):
        with pytest.raises(IndexError):
            source[index]


def test_a_larger_count_keeps_the_faces():
    few, many = SyntheticSource(2, 32, 0), SyntheticSource(10**9, 32, 0)
    np.testing.assert_array_equal(few[1]["image"], many[1]["image"])
    assert len(many.names) == 10**9


def test_splits_and_seeds_are_streams_of_their_own():
    sources = [SyntheticSource(20, 16, seed, split) for seed in (0, 1) for split in ("train", "val", "test")]
    identities = {source[k]["identity_factors"].tobytes() for source in sources for k in range(20)}
    assert len(identities) == 6 * 20


KNOWN = [4114916048, 3422031535, 2795186374, 599315849]  # a change means other people in every stream


def test_the_streams_of_the_splits_are_what_they_were():
    sources = [SyntheticSource(9, 16, 3, split) for split in ("train", "val", "test", "seed7")]
    known = [zlib.crc32(source[8]["identity_factors"].tobytes()) for source in sources]
    assert known == KNOWN
    assert open_source("synthetic:9", size=16, seed=3) == sources[0]
    assert open_source("synthetic:9?seed7", size=16, seed=3) == sources[3]


@pytest.mark.parametrize(
    ("split", "hint"),
    [
        ("tset", "did you mean 'test'?"),
        ("Val", "did you mean 'val'?"),
        ("training", "did you mean 'train'?"),
        ("all", "did you mean 'val'?"),
        ("x", "take train, val, test, or seed and a number, as in '?seed7'"),
        ("seed", "take train"),
        ("seed07", "take train"),
        ("seed-1", "take train"),
    ],
)
def test_a_misspelt_split_is_no_stream(split, hint):
    with pytest.raises(UserError, match=re.escape(f"'?{split}' is no stream of synthetic faces: {hint}")):
        open_source(f"synthetic:3?{split}")


def test_pictures_of_people():
    source, sole = open_source("synthetic:10/3?val", size=16), open_source("synthetic:10?val", size=16)
    faces, others = [source[k] for k in range(10)], [sole[k] for k in range(10)]
    assert [face["identity"] for face in faces] == [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]
    assert [face["identity"] for face in others] == list(range(10))
    assert {(face["identity"].shape, face["identity"].dtype.name) for face in faces} == {((), "int32")}
    for k, face in enumerate(faces):
        np.testing.assert_array_equal(face["identity_factors"], others[k % 3]["identity_factors"])
        np.testing.assert_array_equal(face["attribute_factors"], others[k]["attribute_factors"])
    assert len({face["identity_factors"].tobytes() for face in others}) == 10
    assert len({face["attribute_factors"].tobytes() for face in faces}) == 10
    for k in range(3):
        np.testing.assert_array_equal(faces[k]["image"], others[k]["image"])
        assert (faces[k]["image"] != faces[k + 3]["image"]).any()


def test_as_many_people_as_pictures_are_the_faces_without_people():
    for key, array in open_source("synthetic:4/4", size=16)[3].items():
        np.testing.assert_array_equal(array, open_source("synthetic:4", size=16)[3][key])


def test_no_person_is_in_two_splits():
    sources = [open_source(f"synthetic:12/4?{split}", size=16) for split in ("train", "val", "test", "seed7")]
    people = [{source[k]["identity_factors"].tobytes() for k in range(12)} for source in sources]
    assert [len(each) for each in people] == [4] * 4
    assert len(set.union(*people)) == 16


@pytest.mark.parametrize(
    ("where", "sentence"),
    [
        ("5/6", "synthetic:5/6 asks for 5 pictures of 6 people; .* for no more people than pictures"),
        ("5/0", "synthetic:5/0 asks for 5 pictures of 0 people; ask for at least one person"),
        ("5/", "'5/' is not a number of faces: write for example .*, or 'synthetic:20000/2000.train' for 20000"),
        ("/5", "'/5' is not a number of faces"),
        ("5/2/2", "'5/2/2' is not a number of faces"),
        ("5/-2", "'5/-2' is not a number of faces"),
        ("٥", "is not a number of faces"),
        ("0", "'0' is not a number of faces"),
        ("100000001", "'100000001' is not a number of faces"),
    ],
)
def test_mistaken_counts_end_in_a_sentence(where, sentence):
    with pytest.raises(UserError, match=sentence):
        open_source(f"synthetic:{where}")


def test_pickles_small():
    source = SyntheticSource(10**9, 32, 1, "val")
    data = pickle.dumps(source)
    assert len(data) < 300
    copy = pickle.loads(data)  # noqa: S301 (our own bytes)
    assert copy == source
    np.testing.assert_array_equal(copy[7]["mask"], source[7]["mask"])


@pytest.mark.parametrize(("count", "size", "named"), [(0, 64, "0 faces"), (-2, 64, "-2 faces"), (5, 8, "not 8")])
def test_impossible_requests_are_named(count, size, named):
    with pytest.raises(UserError, match=named):
        SyntheticSource(count, size, 0)
