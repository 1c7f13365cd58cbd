"""Published names -> our variables: everything has a place, and what has none is named."""

import numpy as np
import pytest

from input_pipeline.errors import UserError
from l2s_jax.systems.latents2segments.convert import convert_checkpoint, convert_network
from l2s_jax.torch_weights.state_dict import dense_of_maps
from tests.helpers.l2s_weights import checkpoint, published


@pytest.mark.parametrize("prefix", ["E", "G", "D32", "D128", "Dpatch"])
def test_every_weight_arrives_unchanged_in_value(prefix):
    state = published(prefix)
    _, variables = convert_network(prefix.rstrip("0123456789"), state)
    ours = np.concatenate([leaf.ravel() for leaf in leaves(variables)])
    theirs = np.concatenate([tensor.ravel() for name, tensor in state.items() if "kernel" not in name])
    np.testing.assert_array_equal(np.sort(ours), np.sort(theirs))


def leaves(tree):
    return [leaf for value in tree.values() for leaf in (leaves(value) if isinstance(value, dict) else [value])]


def test_axes():
    state = published("E")
    params = convert_network("E", state)[1]["params"]
    source = state["DownToSpatialCode.ResBlockDownBy4.conv2.Conv.weight"]
    np.testing.assert_array_equal(params["down_8"]["conv_1"]["kernel"][2, 0, 3, 5], source[5, 3, 2, 0])
    np.testing.assert_array_equal(params["style"]["kernel"], state["ToGlobalCode.0.weight"].T)
    generator = published("G")
    kernel = convert_network("G", generator)[1]["params"]["up_4"]["conv_0"]["conv"]["kernel"]
    source = generator["UpsamplingResBlock32.conv1.conv.weight"]
    np.testing.assert_array_equal(kernel[1, 2, 3, 4], source[0, 4, 3, 1, 2])


def test_dense_layer_behind_maps():
    maps = np.random.default_rng(0).normal(size=(2, 3, 4, 5))  # two maps of 3 channels, C, H, W
    weight = np.random.default_rng(1).normal(size=(7, 2 * 3 * 4 * 5))
    ours = maps.transpose(0, 2, 3, 1).reshape(-1) @ dense_of_maps(4, 5, maps=2)(weight)
    np.testing.assert_allclose(ours, weight @ maps.reshape(-1))


def test_a_whole_checkpoint():
    networks = convert_checkpoint(checkpoint())
    assert {kind: type(module).__name__ for kind, (module, _) in networks.items()} == {
        "E": "Encoder",
        "G": "Generator",
        "D": "Discriminator",
        "Dpatch": "PatchDiscriminator",
    }
    with pytest.raises(UserError, match="netF"):
        convert_checkpoint({"netF.weight": np.zeros(1)})


def test_a_missing_tensor_is_named():
    state = published("G")
    del state["HeadResnetBlock1.conv2.noise.weight"]
    with pytest.raises(UserError, match="nothing for 'params/head_1/conv_1/noise_strength'"):
        convert_network("G", state)


def test_a_tensor_too_many_is_named():
    with pytest.raises(UserError, match=r"no place for 'ToRGB\.extra'"):
        convert_network("G", published("G") | {"ToRGB.extra": np.zeros(3)})


@pytest.mark.parametrize("shape", [(1, 3, 8, 3, 3), (3, 8, 1, 1), (1,)])
def test_a_wrong_shape_is_named(shape):
    state = published("G") | {"UpsamplingResBlock16.conv2.conv.weight": np.zeros(shape, np.float32)}
    with pytest.raises(UserError, match=r"'UpsamplingResBlock16\.conv2\.conv\.weight'"):
        convert_network("G", state)


def test_two_tensors_for_one_variable_are_named():
    state = published("E")
    state["FromRGB.Conv.bias"] = state["FromRGB.Act.bias"]
    with pytest.raises(UserError, match="both fill 'params/from_rgb/bias'"):
        convert_network("E", state)


@pytest.mark.parametrize(
    ("prefix", "name"),
    [
        ("E", "DownToSpatialCode.ResBlockDownBy1.skip.Blur.kernel"),
        ("G", "UpsamplingResBlock16.conv1.conv.blur.kernel"),
    ],
)
def test_another_filter_is_refused(prefix, name):
    state = published(prefix)
    state[name] = np.full_like(state[name], 1 / state[name].size)
    with pytest.raises(UserError, match="fixed tensor"):
        convert_network(prefix, state)


def test_weights_of_something_else():
    with pytest.raises(UserError, match=r"no tensor 'FromRGB\.Conv\.weight'"):
        convert_network("E", {"conv.weight": np.zeros((3, 3))})
