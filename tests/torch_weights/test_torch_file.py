"""Checkpoints of PyTorch: every tensor arrives, nothing is executed, and what is not weights is named."""

import copy
import os
import pickle
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from input_pipeline.errors import UserError
from l2s_jax.torch_weights import pickle_gate
from l2s_jax.torch_weights.torch_file import read_state_dict
from tests.helpers import torch_writer
from tests.helpers.torch_writer import Parameter, Storage, Tensor, checkpoint, save, state_dict, write

ARRAYS = {
    "conv.weight": np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2),
    "norm.running_var": np.linspace(0, 1, 5),
    "half": np.float16([1.5, -2.0]),
    "brain": np.array([1.5, -2.0], jnp.bfloat16),
    "norm.num_batches_tracked": np.int64(12345678901),
    "index": np.int32([[3, -1]]),
    "bytes": np.uint8([0, 255]),
    "flags": np.array([True, False]),
    "empty": np.zeros((0, 4), np.float32),
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "model_299.pt"


def check(state, arrays=ARRAYS):
    assert list(state) == list(arrays)
    for name, array in arrays.items():
        assert state[name].dtype == np.asarray(array).dtype
        np.testing.assert_array_equal(state[name], array)


def sentence(file):
    with pytest.raises(UserError) as caught:
        read_state_dict(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("content", [state_dict, checkpoint, lambda arrays: {"model": state_dict(arrays), "epoch": 3}])
@pytest.mark.parametrize("descriptors", [False, True])
def test_every_tensor_arrives(file, content, descriptors):
    save(file, content(ARRAYS), descriptors=descriptors)
    check(read_state_dict(file))


def test_safetensors(tmp_path):
    arrays = {name: np.ascontiguousarray(ARRAYS[name]) for name in ("conv.weight", "index", "half", "bytes")}
    save_file(arrays, tmp_path / "model.safetensors")
    check(read_state_dict(tmp_path / "model.safetensors"), arrays)
    wide = {"conv.weight": np.arange(6.0).reshape(2, 3)}
    save_file(wide, tmp_path / "wide.safetensors")
    np.testing.assert_array_equal(read_state_dict(tmp_path / "wide.safetensors")["conv.weight"], wide["conv.weight"])


def test_the_prefix_of_parallel_training_goes(file):
    save(file, state_dict({f"module.{name}": array for name, array in ARRAYS.items()}))
    check(read_state_dict(file))


def test_views_of_a_shared_storage(file):
    numbers = np.arange(12, dtype=np.float32)
    storage = Storage(numbers)
    views = {
        "transposed": Tensor(storage, 0, (3, 4), (1, 3)),
        "row": Tensor(storage, 4, (4,), (1,)),
        "repeated": Tensor(storage, 5, (2, 3), (0, 2)),
        "one": Tensor(storage, 11, (), ()),
    }
    save(file, state_dict(views))
    state = read_state_dict(file)
    np.testing.assert_array_equal(state["transposed"], numbers.reshape(4, 3).T)
    np.testing.assert_array_equal(state["row"], numbers[4:8])
    np.testing.assert_array_equal(state["repeated"], [[5, 7, 9], [5, 7, 9]])
    assert state["one"] == 11
    assert np.shares_memory(state["transposed"], state["row"])
    assert not any(array.flags.writeable for array in state.values())


def test_parameters_are_tensors(file):
    save(file, {"weight": Parameter(torch_writer.tensor(np.float32([1, 2])))})
    np.testing.assert_array_equal(read_state_dict(file)["weight"], [1, 2])


def test_moments_of_the_optimiser_are_not_read(file):
    content = checkpoint(ARRAYS)
    content["optimizer"]["state"][0]["exp_avg"] = Tensor(Storage(np.zeros(1, np.float32), 2**40), 0, (2**40,), (1,))
    save(file, content)
    check(read_state_dict(file))


SMALL = Storage(np.zeros(4, np.float32))


@pytest.mark.parametrize(
    ("impossible", "reason"),
    [
        (Tensor(SMALL, 0, (2**40,), (1,)), "does not fit its storage of 4"),
        (Tensor(SMALL, 0, (2**40,), (0,)), "does not fit its storage of 4"),
        (Tensor(SMALL, 0, (0, 2**40, 2**40), (1, 1, 1)), "does not fit its storage of 4"),
        (Tensor(SMALL, 1, (4,), (1,)), "does not fit its storage of 4"),
        (Tensor(SMALL, 0, (2, 2), (3, 1)), "does not fit its storage of 4"),
        (Tensor(SMALL, 3, (2,), (-1,)), "impossible place, shape or stride"),
        (Tensor(SMALL, -1, (2,), (1,)), "impossible place, shape or stride"),
        (Tensor(SMALL, 0, (2.0,), (1,)), "impossible place, shape or stride"),
        (Tensor(SMALL, 0, (2, 2), (1,)), "impossible place, shape or stride"),
        (Tensor(SMALL, 0, (1,) * 70, (1,) * 70), "impossible place, shape or stride"),
        (Tensor(SMALL, 0, [4], (1,)), "describes a tensor in an unknown way"),
        (Tensor("no storage", 0, (4,), (1,)), "describes a tensor in an unknown way"),
        (Tensor(Storage(np.zeros(4, np.float32), 2**40), 0, (2**40,), (1,)), "another size than its index says"),
        (Tensor(Storage(np.zeros(4, np.float32), 2**70), 0, (4,), (1,)), "something that is no storage"),
        (Tensor(Storage(np.zeros(4, np.float32), 2**50), 0, (4,), (1,)), "something that is no storage"),
    ],
)
def test_an_impossible_tensor_is_refused(file, impossible, reason):
    save(file, state_dict({"weight": impossible}))
    assert reason in sentence(file)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def attacks(mark):
    """Name -> (pickle, what the sentence says of it)."""
    asked, odd, nothing = (
        "which no weights need",
        "its index is damaged or not one of weights",
        "holds no weights",
    )
    tensor = torch_writer.dumps(state_dict({"w": np.zeros(4, np.float32)}))[0]
    return {
        "os.system": (
            pickle.dumps(Call(os.system, (f"touch {mark}",)), 2),
            f"asks for '{os.system.__module__}.system'",
        ),
        "eval": (pickle.dumps(Call(eval, (f"open({str(mark)!r}, 'w')",)), 2), "asks for '__builtin__.eval'"),
        "protocol 4": (
            pickle.dumps(Call(os.system, (f"touch {mark}",)), 4),
            f"asks for '{os.system.__module__}.system'",
        ),
        "protocol 5": (
            pickle.dumps(Call(os.system, (f"touch {mark}",)), 5),
            f"asks for '{os.system.__module__}.system'",
        ),
        "getattr": (pickle.dumps(Call(getattr, ("text", "upper")), 4), "asks for 'builtins.getattr'"),
        "copyreg": (b"\x80\x02ccopy_reg\n_reconstructor\n.", asked),
        "beside the weights": (torch_writer.dumps({**checkpoint({}), "x": Call(open, (str(mark), "w"))})[0], ".open'"),
        "old class": (b"(S'touch'\niposix\nsystem\n.", odd),
        "instance": (b"\x80\x02(iposix\nsystem\n.", odd),
        "object": (b"\x80\x02(cposix\nsystem\no.", asked),
        "new object": (b"\x80\x02ccollections\nCounter\n)\x81.", "makes an object that is not of weights"),
        "new object with arguments": (b"\x80\x02ccollections\nOrderedDict\nK\x01\x85\x81.", "makes an object"),
        "new object of a string": (b"\x80\x02X\x01\x00\x00\x00a)\x81.", "makes an object"),
        "new object with names": (b"\x80\x04ccollections\nOrderedDict\n)}\x92.", odd),
        "extension": (b"\x80\x02\x82\x01.", odd),
        "global from the stack": (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", asked),
        "name from a number": (b"\x80\x04K\x01K\x02\x93.", "STACK_GLOBAL requires str"),
        "buffer from outside": (b"\x80\x05\x97.", odd),
        "read-only buffer": (b"\x80\x05N\x98.", odd),
        "calling a storage": (b"\x80\x02ctorch\nFloatStorage\n)R.", "calls what is no function"),
        "calling a string": (b"\x80\x02X\x01\x00\x00\x00a)R.", "calls what is no function"),
        "calling an array": (b"\x80\x02cnumpy\nndarray\n)R.", "calls what is no function"),
        "arguments in a list": (b"\x80\x02ccollections\nOrderedDict\n]R.", "calls what is no function"),
        "dotted name": (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", asked),
        "state of a list": (b"\x80\x02](X\x01\x00\x00\x00ab.", odd),
        "filled dict": (b"\x80\x02ccollections\nOrderedDict\n((((K\x01K\x02tttR.", odd),
        "dict of pairs": (b"\x80\x02ccollections\nOrderedDict\n]\x85R.", odd),
        "counter of a list": (b"\x80\x02ccollections\nCounter\n]\x85R.", nothing),
        "parameter of nothing": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n)R.", odd),
        "persistent text": (b"\x80\x02X\x01\x00\x00\x00aQ.", "refers to something that is no storage"),
        "hashing deep tuples": (b"\x80\x02}" + b")" + b"\x85" * 100_000 + b"Ns.", "has a tuple for a key"),
        "hashing forever": (b"\x80\x02}(" + b"K\x01N)" + DOUBLED + b"Nu.", "has a tuple for a key"),
        "a name for a key": (b"\x80\x02}ccollections\nCounter\nNs.", "has a Global for a key"),
        "memory for the memo": (b"\x80\x02Nr\xff\xff\xff\x7f.", nothing),
        "memory for bytes": (b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.", odd),
        "memory for a frame": (b"\x80\x04\x95" + b"\xff" * 7 + b"\x7f.", odd),
        "memory for text": (b"\x80\x02X\xff\xff\xff\xffa.", "longer than 4 MiB"),
        "bytes that are not there": (b"\x80\x04B\xff\xff\xff\xffa.", "it is cut off"),
        "very many bytes": (b"\x80\x04\x8e" + b"\xff" * 8 + b"a.", "it is cut off"),
        "memory for a number": (b"\x80\x02\x8b\xff\xff\xff\x7f.", odd),
        "many arguments": (b"\x80\x02ctorch._utils\n_rebuild_parameter\n(" + b"N" * 1000 + b"tR.", odd),
        "too long": (b"\x80\x02" + b"N" * 2**22 + b".", "longer than 4 MiB"),
        "reaching outside": (tensor.replace(b"K\x00K\x04\x85", b"K\x01K\x04\x85"), "does not fit its storage of 4"),
        "no end": (b"\x80\x02]", odd),
        "nothing": (b"", odd),
        "empty stack": (b"\x80\x02.", odd),
        "no mark": (b"\x80\x02t.", odd),
        "no memo": (b"\x80\x02h\x07.", "Memo value not found"),
        "half a pair": (b"\x80\x02}(Nu.", "has a NoneType for a key"),
        "half a number": (b"\x80\x02J\x01", odd),
        "half a name": (b"\x80\x02ctorch\nFloatStorage", "a name without an end"),
    }


DOUBLED = b"".join(b"q%ch%c\x86" % (i, i) for i in range(200))  # a pair of a pair of ... the same


@pytest.mark.parametrize("attack", attacks(""))
def test_a_hostile_pickle_is_refused_and_does_nothing(file, tmp_path, attack):
    mark = tmp_path / "executed"
    pickled, reason = attacks(mark)[attack]
    write(file, pickled)
    assert reason in sentence(file)
    assert not mark.exists()


@pytest.mark.parametrize("call", [*pickle_gate._CALLS, *pickle_gate._CLASSES])
def test_no_state_reaches_what_a_name_stands_for(file, call):
    """BUILD sets attributes in Python's unpickler; what a file left behind would meet the next one."""
    function, (module, _, name) = (pickle_gate._CALLS | pickle_gate._CLASSES)[call], call.rpartition(".")
    found = f"c{module}\n{name}\n".encode()
    for attribute in ("__defaults__", "anything"):
        before = getattr(function, attribute, "none")
        text = b"X" + len(attribute).to_bytes(4, "little") + attribute.encode()
        write(file, b"\x80\x02" + found + b"N}" + text + b"N" + b"s\x86b.")  # the state (None, {attribute: None})
        assert f"the file of a '{call}'" in sentence(file)
        assert getattr(function, attribute, "none") == before


def test_no_state_moves_a_tensor_that_was_checked(file):
    whole = torch_writer.dumps({"w": torch_writer.tensor(np.arange(4, dtype=np.float32))})[0]
    state = b"}(X\x06\x00\x00\x00offsetJ\xff\xff\xff\x00u"  # {"offset": 2**24 - 1}
    assert whole.endswith(b"s.")
    write(file, whole[:-2] + state + b"bs.", [np.arange(4, dtype=np.float32).tobytes()])
    np.testing.assert_array_equal(read_state_dict(file)["w"], range(4))


@pytest.mark.parametrize(
    "bomb",
    [
        b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",  # a list in a list in a list ...
        b"\x80\x02)" + b"\x85" * 100_000 + b".",
        b"\x80\x02N" + DOUBLED + b".",
        b"\x80\x02]q\x00h\x00a.",  # a list in itself
    ],
)
def test_deep_wide_and_endless_objects_do_no_harm(file, bomb):
    write(file, bomb)
    assert "holds no weights" in sentence(file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (checkpoint({})["optimizer"], "holds no weights: among its entries is 'state', which is no tensor"),
        ([torch_writer.tensor(np.ones(2))], "it is the file of a list"),
        ({}, "it is the file of a dict"),
        ({1: torch_writer.tensor(np.ones(2))}, "among its entries is '1'"),
    ],
)
def test_other_files_of_torch(file, content, reason):
    save(file, content)
    assert reason in sentence(file)


def test_files_that_are_no_checkpoints(file, tmp_path):
    assert "cannot read" in sentence(tmp_path / "missing.pt")
    assert "cannot read" in sentence(tmp_path)
    for content in (b"", b"PK", b"\xff\xd8\xff\xe0 a photo, say", b"\x80\x01}.", b"(dp0\n."):
        file.write_bytes(content)
        assert "neither a PyTorch checkpoint nor a safetensors file" in sentence(file)
    for protocol in (2, 3, 4, 5):
        file.write_bytes(pickle.dumps({"a": [1, 2.5, None, (True,)]}, protocol))
        assert "a pickle, but not of networks that NVIDIA publishes" in sentence(file)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("word/document.xml", "text")
    assert "a zip file, but not a PyTorch checkpoint" in sentence(file)
    file.write_bytes((500).to_bytes(8, "little") + b"{}")
    assert "invalid header length" in sentence(file)
    wide = b'{"a":{"dtype":"F32","shape":[0,4611686018427387904],"data_offsets":[0,0]}}'
    file.write_bytes(len(wide).to_bytes(8, "little") + wide)
    assert "is damaged: array is too big" in sentence(file)


def test_records_that_torch_would_not_write(file):
    save(file, state_dict(ARRAYS), byteorder=b"big")
    assert "big-endian" in sentence(file)
    bomb = state_dict({"weight": np.zeros(10**6, np.float32)})
    save(file, bomb, compression=zipfile.ZIP_DEFLATED)
    assert "claim to be larger than the file" in sentence(file)
    save(file, state_dict(ARRAYS), compression=zipfile.ZIP_BZIP2)
    assert "is not as PyTorch writes it: its record" in sentence(file)


def test_many_records_at_one_place(file):
    save(file, state_dict({"weight": np.zeros(1000, np.float32)}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("last", "")  # so that the directory is written again
        for i in range(5):
            entry = copy.copy(archive.getinfo(f"{file.stem}/data/0"))
            entry.filename = f"{file.stem}/data/{i + 1}"
            archive.filelist.append(entry)
    assert "claim to be larger than the file" in sentence(file)


def test_a_missing_record_is_named(file):
    write(file, torch_writer.dumps(state_dict(ARRAYS))[0])
    assert "its record 'data/" in sentence(file)
    assert "is missing" in sentence(file)


def test_a_truncated_file_is_refused_wherever_it_ends(file):
    save(file, checkpoint(ARRAYS))
    whole = file.read_bytes()
    for end in range(0, len(whole), 397):
        file.write_bytes(whole[:end])
        sentence(file)
    file.write_bytes(whole[: len(whole) // 2])
    assert "damaged or cut off" in sentence(file)


def test_damage_is_refused_or_harmless(file):
    save(file, checkpoint(ARRAYS))
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            damaged[place] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            check(read_state_dict(file))
        except UserError as error:
            assert str(file) in str(error)  # noqa: PT017 (most flips are refused, some hit nothing that is read)


def test_a_damaged_pickle_is_refused_or_describes_tensors(file):
    pickled, storages = torch_writer.dumps(checkpoint(ARRAYS))
    records = [storage.numbers.tobytes() for storage in storages]
    rng = np.random.default_rng(1)
    for _ in range(150):
        damaged = bytearray(pickled)
        damaged[rng.integers(0, len(pickled))] = rng.integers(0, 256)
        write(file, bytes(damaged), records)
        try:
            state = read_state_dict(file)
        except UserError:
            continue
        assert all(isinstance(array, np.ndarray) and array.size <= 24 for array in state.values())
