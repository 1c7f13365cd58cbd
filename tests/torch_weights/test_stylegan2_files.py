"""Published generators in every layout and container: the same arrays arrive, and nothing in a file runs."""

import argparse
import os
import pickle
import struct
import sys
from collections import OrderedDict
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from input_pipeline.errors import UserError
from l2s_jax.systems.stylegan2.convert import convert_generator
from l2s_jax.torch_weights import spans
from l2s_jax.torch_weights.stylegan2_layouts import from_ada, from_tf, to_rosinality
from l2s_jax.torch_weights.torch_file import read_state_dict
from tests.helpers import nvidia_writer, stylegan2_states, torch_writer
from tests.helpers.nvidia_writer import Module, Network, dumps, gs
from tests.helpers.torch_writer import Storage, Tensor, save, state_dict, stream, tensor

DATA = Path(__file__).parents[1] / "data" / "torch"
STATE, OTHER = stylegan2_states.rosinality(), stylegan2_states.rosinality(1)
ADA, TF = stylegan2_states.ada(STATE), stylegan2_states.tf(STATE)
KWARGS = {
    "mapping_lrmul": 0.01,
    "resample_kernel": [1, 3, 3, 1],
    "architecture": "skip",
    "resolution": 16,
    "label_size": 0,
}


@pytest.fixture
def file(tmp_path):
    return tmp_path / "network.pkl"


def training(state):
    """As rosinality's training script saves it."""
    mean = {"latent_avg": tensor(state["latent_avg"])}
    generator = state_dict({name: array for name, array in state.items() if name != "latent_avg"})
    optimiser = {"state": {0: {"step": 3, "exp_avg": tensor(np.ones(3, np.float32))}}, "param_groups": [{"lr": 0.002}]}
    arguments = argparse.Namespace(size=16, path="data", augment=False)
    return {
        "g": state_dict(OTHER),
        "g_ema": generator,
        "g_optim": optimiser,
        "args": arguments,
        "ada_aug_p": 0.0,
    } | mean


def three(state):
    others = [gs(stylegan2_states.tf(OTHER), **KWARGS), Network({"lod": np.float32(0)})]
    return (*others, gs(stylegan2_states.tf(state), **KWARGS))


def write_zip(path):
    save(path, training(STATE))


def write_stream(path):
    path.write_bytes(stream(training(STATE)))


def write_safetensors(path):
    save_file({name: np.ascontiguousarray(array) for name, array in STATE.items()}, path)


def write_ada(path, protocol):
    others = {
        "G": nvidia_writer.tree(stylegan2_states.ada(OTHER)),
        "D": nvidia_writer.tree({"b4.fc.weight": np.ones(3)}),
    }
    path.write_bytes(dumps(nvidia_writer.ada(ADA, **others), protocol))


def write_ada_state(path):
    save(path, state_dict({name: array for name, array in ADA.items() if isinstance(array, np.ndarray | np.generic)}))


def write_tf(path, protocol):
    path.write_bytes(dumps(three(STATE), protocol))


def write_tf_of_numpy_1(path):
    whole = dumps(three(STATE), 3)
    assert b"numpy._core" in whole
    path.write_bytes(whole.replace(b"numpy._core", b"numpy.core"))


def write_gs(path):
    path.write_bytes(dumps(gs(TF)))


ROSINALITY = {"zip": write_zip, "stream": write_stream, "safetensors": write_safetensors}
PYTORCH = {
    **{f"module, protocol {n}": lambda path, n=n: write_ada(path, n) for n in (3, 4, 5)},
    "state dict": write_ada_state,
}
TENSORFLOW = {
    "networks, protocol 3": lambda path: write_tf(path, 3),
    "networks, protocol 4": lambda path: write_tf(path, 4),
    "networks, numpy 1": write_tf_of_numpy_1,
    "one network": write_gs,
}
FILES = ROSINALITY | PYTORCH | TENSORFLOW


def check(found, wanted):
    assert sorted(found) == sorted(wanted)
    for name, array in wanted.items():
        assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape), name
        np.testing.assert_array_equal(found[name], array, err_msg=name)


@pytest.mark.parametrize("kind", FILES)
def test_every_file_gives_the_same_generator(file, kind):
    FILES[kind](file)
    found = to_rosinality(read_state_dict(file))
    check(found, {name: array for name, array in STATE.items() if kind not in TENSORFLOW or "kernel" not in name})
    ours, reference = convert_generator(found), convert_generator(STATE)
    assert ours.network == reference.network
    jax.tree.map(np.testing.assert_array_equal, ours.variables, reference.variables)


def test_networks_are_named_as_in_their_file(file):
    write_ada(file, 4)
    state = read_state_dict(file)
    assert {name.partition(".")[0] for name in state} == {"G", "D", "G_ema"}
    np.testing.assert_array_equal(state["G_ema.synthesis.b8.conv0.weight"], ADA["synthesis.b8.conv0.weight"])
    assert state["G_ema.mapping.fc0.bias_gain"] == 0.01
    write_tf(file, 4)
    state = read_state_dict(file)
    assert {name.partition(".")[0] for name in state} == {"G", "D", "Gs"}
    np.testing.assert_array_equal(state["Gs.synthesis/8x8/Conv0_up/weight"], TF["synthesis/8x8/Conv0_up/weight"])
    assert state["Gs.static_kwargs/architecture"] == "skip"


def test_demodulation_with_its_epsilon_is_that_of_the_release():
    """Weights so small that the epsilon decides."""
    weight = np.float32(np.random.default_rng(0).normal(size=(4, 8, 3, 3)) * 2e-5)
    style = np.linspace(-1, 2, 8)[None, :, None, None]
    theirs = weight * style / np.sqrt(np.sum(np.square(np.float64(weight) * style), (1, 2, 3), keepdims=True) + 1e-8)
    renamed = from_ada({"synthesis.b8.conv1.weight": weight})["convs.1.conv.weight"][0]
    scaled = np.float64(renamed) / np.sqrt(8 * 9) * style
    ours = scaled / np.sqrt(np.sum(np.square(scaled), (1, 2, 3), keepdims=True) + 1e-8)
    assert np.all(np.sum(np.square(ours), (1, 2, 3)) < 0.9)  # 1 without epsilon
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("convert", "state", "change", "reason"),
    [
        (from_ada, ADA, {"synthesis.b8.skip.weight": np.ones(3)}, "no place for 'synthesis.b8.skip.weight'"),
        (from_ada, ADA, {"synthesis.b12.conv0.bias": np.ones(3)}, "no place for 'synthesis.b12.conv0.bias'"),
        (from_ada, ADA, {"mapping.embed.weight": np.ones(3)}, "no place for 'mapping.embed.weight'"),
        (from_ada, ADA, {"mapping.fc00.weight": np.ones(3)}, "no place for 'mapping.fc00.weight'"),
        (from_ada, ADA, {"synthesis.b8.conv0.noise_strength": np.ones(3)}, "of shape (3,) is not as StyleGAN2 has it"),
        (from_ada, ADA, {"mapping.fc1.bias_gain": np.array(1.0)}, "'mapping.fc1.bias_gain' is not 0.01"),
        (from_ada, ADA, {"synthesis.b8.conv0.activation": np.array("relu")}, "conv0.activation' is not lrelu"),
        (from_tf, TF, {"ToRGB_lod0/weight": np.ones(3)}, "no place for 'ToRGB_lod0/weight'"),
        (from_tf, TF, {"synthesis/8x16/Conv1/bias": np.ones(3)}, "no place for 'synthesis/8x16/Conv1/bias'"),
        (from_tf, TF, {"mapping/Dense0/weight": np.ones(3)}, "of shape (3,) is not as StyleGAN2 has it"),
        (from_tf, TF, {"static_kwargs/mapping_lrmul": np.array(1)}, "'static_kwargs/mapping_lrmul' is not 0.01"),
        (from_tf, TF, {"static_kwargs/resample_kernel": np.array([1, 1])}, "is not [1, 3, 3, 1]"),
        (to_rosinality, {}, {"G_ema.synthesis.L0_36_512.weight": np.ones(3)}, "in none of the layouts"),
    ],
)
def test_another_network_is_named(convert, state, change, reason):
    with pytest.raises(UserError) as caught:
        convert({name: np.array(value) for name, value in state.items()} | change)
    assert reason in str(caught.value)


def sentence(file):
    with pytest.raises(UserError) as caught:
        read_state_dict(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


class Call:
    """Pickles as the call of a function."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


class Bytes:
    """A storage in another pickle, of the bytes given."""

    def __init__(self, data):
        self.data = data

    def __reduce__(self):
        return sys.modules["torch.storage"]._load_from_bytes, (self.data,)


def with_storage(data):
    """A module whose parameter has its numbers in the bytes `data`."""
    return {"G_ema": Module(attributes={"weight": Bytes(data)})}


def nested(content):
    return dumps(with_storage(stream(content)))


MARK = "executed"
FOUR = Storage(np.zeros(4, np.float32))
SYSTEM_OF_STREAM = b"".join(pickle.dumps(value, 2) for value in (0x1950A86A20F9469CFC6C, 1001, torch_writer.SYSTEM))
SYSTEM = f"asks for '{os.system.__module__}.system'"


def calling(data):
    """A pickle that has the bytes `data` read as the stream of a storage."""
    return b"\x80\x04ctorch.storage\n_load_from_bytes\nB" + struct.pack("<I", len(data)) + data + b"\x85R."


def attacks():
    """Name -> (pickle, what the sentence says of it)."""
    evil = Call(os.system, (f"touch {MARK}",))
    itself = Network()
    itself.__getstate__()["components"]["again"] = itself
    doubled = Network()
    for _ in range(14):
        doubled = Network(components={"a": doubled, "b": doubled})
    twice = Module()
    for _ in range(15):
        twice = Module(modules={"a": twice, "b": twice})
    array = dumps(Network({"v": np.zeros((2, 2), np.float32)}))
    return {
        "in a module": (dumps({"G_ema": Module(attributes={"x": evil})}), SYSTEM),
        "instead of a network": (dumps((evil, evil, evil)), SYSTEM),
        "in a network": (dumps(Network(static_kwargs={"x": evil})), SYSTEM),
        "eval": (dumps({"G_ema": Call(eval, (f"open({MARK!r}, 'w')",))}), "asks for 'builtins.eval'"),
        "getattr": (dumps({"G_ema": Call(getattr, ("", "join"))}), "asks for 'builtins.getattr'"),
        "open": (dumps({"G_ema": Call(open, (MARK, "w"))}), ".open'"),
        "ordinary class": (
            dumps({"G_ema": OrderedDict, "D": argparse.ArgumentParser}),
            "asks for 'argparse.ArgumentPars",
        ),
        "nested": (nested(evil), SYSTEM),
        "nested in nested": (
            dumps(with_storage(SYSTEM_OF_STREAM + calling(stream(FOUR)))),
            "streams lie in one another",
        ),
        "nested pickle": (dumps(with_storage(pickle.dumps(evil, 2))), SYSTEM),
        "nested nothing": (dumps(with_storage(b"")), "damaged or not one of weights"),
        "nested text": (dumps(with_storage("text")), "damaged or not one of weights"),
        "nested dict": (nested({"w": tensor(np.ones(4))}), "a stream that is not of a storage"),
        "nested, another magic": (dumps(with_storage(pickle.dumps(7) * 3)), "a stream that PyTorch did not write"),
        "nested, big-endian": (dumps(with_storage(stream(FOUR, {"little_endian": False}))), "big-endian"),
        "nested, without numbers": (dumps(with_storage(stream(FOUR)[:-24])), "another size than its index says"),
        "nested, cut off": (dumps(with_storage(stream(FOUR)[:-1])), "it is cut off"),
        "nested, large": (
            dumps(with_storage(stream(Storage(FOUR.numbers, 2**40)))),
            "another size than its index says",
        ),
        "stride": (dumps({"G_ema": Module({"w": None}, {"w": Tensor(FOUR, 0, (2, 2), (3, 1))})}), "does not fit its"),
        "offset": (dumps({"G_ema": Module({}, {"w": Tensor(FOUR, 1, (4,), (1,))})}), "does not fit its storage of 4"),
        "shape": (
            dumps({"G_ema": Module({}, {"w": Tensor(FOUR, 0, (2**40,), (0,))})}),
            "does not fit its storage of 4",
        ),
        "objects": (dumps(Network({"v": np.array([None, {}], object)})), "arrays of the numpy type 'O8'"),
        "fields": (dumps(Network({"v": np.zeros(2, "i4,f4")})), "arrays of the numpy type 'V8'"),
        "texts": (dumps(Network({"v": np.array(["a"])})), "arrays of the numpy type 'U1'"),
        "array of another shape": (array.replace(b"K\x02K\x02\x86", b"K\x02K\x03\x86"), "does not fit its numbers"),
        "array of no shape": (array.replace(b"K\x02K\x02\x86", b"NK\x02\x86"), "does not fit its numbers"),
        "array of lists": (array.replace(b"K\x02K\x02\x86", b"J\xff\xff\xff\x7f]\x86"), "does not fit its numbers"),
        "array in numpy's newest way": (dumps(Network({"v": np.zeros((2, 2))}), 5), "_frombuffer'"),
        "array without numbers": (array.replace(b"C\x10" + bytes(16), b"C\x00"), "does not fit its numbers"),
        "array of a text": (array.replace(b"C\x10" + bytes(16), b"\x8c\x01a"), "describes an array in an unknown way"),
        "byte order": (array.replace(b"\x8c\x01<", b"\x8c\x01x"), "the numbers of an array in an unknown way"),
        "in itself": (dumps(itself), "too many parts"),
        "doubled": (dumps(doubled), "too many parts"),
        "modules, doubled": (dumps({"G_ema": twice}), "too many parts"),
        "names": (dumps(Network({"v" * 1000: np.ones(2)})), "a name that is too long"),
        "no network in a network": (dumps(Network(components={"a": {}})), "a component of a network is no network"),
        "no tensor in a module": (dumps({"G_ema": Module({"w": "text"})}), "a parameter of a module is no tensor"),
        "no module in a module": (dumps({"G_ema": Module(modules={"a": 3})}), "a part of a module is no module"),
        "state twice": (dumps(Network())[:-1] + b"}b.", "are not as its class writes them"),
        "lists, doubled": (
            b"\x80\x04]\x94" + b"".join(b"](h%ch%ce\x94" % (i, i) for i in range(100)) + b".",
            "no weights",
        ),
        "storage of a zip": (dumps({"G_ema": 1})[:-1] + b"Q.", "refers to something that is no storage"),
    }


ATTACKS = attacks()


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_hostile_network_is_refused_and_does_nothing(file, monkeypatch, attack):
    monkeypatch.chdir(file.parent)
    pickled, reason = ATTACKS[attack]
    file.write_bytes(pickled)
    assert reason in sentence(file)
    assert not Path(MARK).exists()


def test_what_describes_is_counted_over_all_streams(file, monkeypatch):
    """A short pickle may have long bytes read over and over."""
    inner = stream(FOUR)
    load, data = b"ctorch.storage\n_load_from_bytes\n\x94", b"B" + struct.pack("<I", len(inner)) + inner + b"\x94"
    again = b"\x80\x04" + load + data + b"h\x00h\x01\x85R" * 100 + b"."
    file.write_bytes(again)
    assert "a pickle, but not of networks" in sentence(file)
    monkeypatch.setattr(spans, "MAX_DESCRIPTION", 10_000)
    assert len(again) < 2000
    assert "its index is longer" in sentence(file)


def test_no_source_of_a_class_runs(file, tmp_path):
    mark = tmp_path / MARK
    source = f"open({str(mark)!r}, 'w')"
    file.write_bytes(dumps({"G_ema": Module({"w": np.ones(3)}, modules={"m": Module(source=source)}, source=source)}))
    np.testing.assert_array_equal(read_state_dict(file)["G_ema.w"], np.ones(3))
    file.write_bytes(dumps(Network({"w": np.ones(3)}, source=source)))
    np.testing.assert_array_equal(read_state_dict(file)["Gs.w"], np.ones(3))
    assert not mark.exists()


@pytest.mark.parametrize("kind", ["stream", "module, protocol 4", "networks, protocol 4"])
def test_a_file_that_is_cut_off_is_refused_wherever_it_ends(file, kind):
    FILES[kind](file)
    whole = file.read_bytes()
    for end in [*range(0, 200, 17), *range(200, len(whole), len(whole) // 25), len(whole) - 1]:
        file.write_bytes(whole[:end])
        sentence(file)


@pytest.mark.parametrize("kind", ["stream", "module, protocol 4", "networks, protocol 4"])
def test_a_damaged_file_is_refused_or_describes_tensors(file, kind):
    FILES[kind](file)
    whole = file.read_bytes()
    rng = np.random.default_rng(2)
    for _ in range(25):
        damaged = bytearray(whole)
        damaged[rng.integers(0, len(whole))] = rng.integers(0, 256)
        file.write_bytes(damaged)
        try:
            state = read_state_dict(file)
        except UserError:
            continue
        assert all(isinstance(array, np.ndarray) and array.nbytes < len(whole) for array in state.values())


@pytest.mark.parametrize(
    "start", [b"PK\x03\x04", stream(FOUR), b"\x80\x04\x8e" + (2**41).to_bytes(8, "little"), bytes(8) + b"{"]
)
def test_a_file_larger_than_the_memory_is_not_read(file, start):
    file.write_bytes(start)
    os.truncate(file, 2**42)  # holes take no disk
    assert "are more than the" in sentence(file)


def test_a_pipe_is_not_waited_for(file):
    os.mkfifo(file)
    assert "it is a device or a pipe" in sentence(file)


def test_files_that_pytorch_itself_wrote():
    """See tests/helpers/write_torch_files.py."""
    reference = np.load(DATA / "network.npz")
    arrays = {name: reference[f"state.{name}"] for name in read_state_dict(DATA / "stream.pt") if name != "latent_avg"}
    check(read_state_dict(DATA / "stream.pt"), arrays | {"latent_avg": reference["w"][0]})
    state = read_state_dict(DATA / "network.pkl")
    check({name: state[f"G_ema.{name}"] for name in arrays}, arrays)
    network, variables = convert_generator(to_rosinality(state))
    apply = jax.jit(network.apply, static_argnames="method")
    w = apply(variables, apply(variables, jnp.float32(reference["z"]), method="codes"), 0.7, method="truncated")
    images = np.transpose(apply(variables, w, method="images"), (0, 3, 1, 2))
    for ours, theirs in ((np.asarray(w), reference["w"]), (images, reference["image"])):
        assert ours.shape == theirs.shape
        assert np.linalg.norm(ours - theirs) < 1e-5 * np.linalg.norm(theirs)
