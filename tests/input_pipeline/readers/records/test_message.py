import struct

import numpy as np
import pytest
import safetensors.numpy

from input_pipeline.errors import UserError
from input_pipeline.images.decode import Encoded, jpeg, png, read_image, read_mask
from input_pipeline.readers.records import message
from input_pipeline.readers.records.message import Record

VECTORS = {
    "landmarks": np.float32([[1.5, 2], [3, 4]]),
    "identity": np.array(3, np.int32),
    "identity_factors": np.float32([1, 0]),
    "attribute_factors": np.float32([7]),
}


@pytest.mark.parametrize("mask", [b"mask", None])
@pytest.mark.parametrize("vectors", [VECTORS, {}])
def test_round_trip(mask, vectors):
    record = Record("naïve 1", b"\xff\xd8photo", mask, vectors)
    found = message.decode(message.encode(record), "here")
    assert found[:3] == record[:3]
    assert found.vectors.keys() == vectors.keys()
    for key, array in vectors.items():
        np.testing.assert_array_equal(found.vectors[key], array)
        assert found.vectors[key].dtype == array.dtype
    assert message.encode(found) == message.encode(record)


def test_pictures():
    rng = np.random.default_rng(0)
    mask, photo = rng.integers(0, 256, (9, 7), np.uint8), rng.integers(0, 256, (9, 7, 3), np.uint8)
    np.testing.assert_array_equal(read_mask(Encoded("", png(mask))), mask)
    np.testing.assert_array_equal(read_image(Encoded("", png(photo))), photo)
    grey = np.full((16, 16, 3), 90, np.uint8)
    assert np.abs(read_image(Encoded("", jpeg(grey))).astype(int) - grey).max() <= 1


def arrays(**changed):
    text = np.frombuffer(b"abc", np.uint8)
    return {key: value for key, value in {"name": text, "image": text, **changed}.items() if value is not None}


@pytest.mark.parametrize(
    "broken",
    [
        arrays(image=None),
        arrays(name=None),
        arrays(image=np.zeros(3, np.float32)),
        arrays(image=np.zeros((1, 3), np.uint8)),
        arrays(mask=np.zeros(3, np.int64)),
        arrays(extra=np.zeros(3, np.float32)),
        arrays(landmarks=np.zeros((5, 3), np.float32)),
        arrays(landmarks=np.zeros((5, 2), np.float64)),
        arrays(landmarks=np.full((5, 2), np.nan, np.float32)),
        arrays(landmarks=np.zeros((40000, 2), np.float32)),
        arrays(identity=np.zeros(3, np.float32)),  # what earlier versions called so
        arrays(identity=np.array(3, np.int64)),
        arrays(attributes=np.zeros(3, np.float32)),
        arrays(identity_factors=np.zeros((1, 1), np.float32)),
        arrays(name=np.zeros(5000, np.uint8)),
        arrays(name=np.frombuffer(b"\xff\xfe", np.uint8)),
    ],
)
def test_other_messages_are_refused(broken):
    with pytest.raises(UserError, match=r"^record 3 is damaged .*again$"):
        message.decode(safetensors.numpy.save(broken), "record 3")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"noise" * 20,
        struct.pack("<Q", 1 << 60) + b"{}",  # a header longer than all memory
        struct.pack("<Q", 71) + b'{"name":{"dtype":"U8","shape":[99999999999],"data_offsets":[0,99999999999]}}',
        struct.pack("<Q", 63) + b'{"name":{"dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1]}}  \0',
        message.encode(Record("a", b"photo", b"mask", VECTORS))[:-3],
    ],
)
def test_damaged_messages_are_refused(content):
    with pytest.raises(UserError, match="is damaged"):
        message.decode(content, "record 3")
