"""torchvision's ResNet by its own names, computed directly in NCHW, against our converted network; refusals."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from input_pipeline.errors import UserError
from l2s_jax.models import backbones
from l2s_jax.models.backbones import BACKBONES, Backbone, build
from l2s_jax.models.backbones.windows import relative_positions
from l2s_jax.torch_weights import torchvision
from l2s_jax.torch_weights.torchvision import convert_backbone, recognise

TINY = {"depths": (1, 2, 1, 1), "width": 4}


def resnet_shapes(depths, width, classes=1000):
    """{name: shape} of torchvision's bottleneck ResNets."""
    shapes = {}

    def conv_norm(convolution, norm, inputs, outputs, kernel):
        shapes[f"{convolution}.weight"] = (outputs, inputs, kernel, kernel)
        shapes.update({f"{norm}.{leaf}": (outputs,) for leaf in ("weight", "bias", "running_mean", "running_var")})
        shapes[f"{norm}.num_batches_tracked"] = ()

    conv_norm("conv1", "bn1", 3, width, 7)
    inputs = width
    for s, depth in enumerate(depths):
        inner = width * 2**s
        for b in range(depth):
            block = f"layer{s + 1}.{b}"
            conv_norm(f"{block}.conv1", f"{block}.bn1", inputs, inner, 1)
            conv_norm(f"{block}.conv2", f"{block}.bn2", inner, inner, 3)
            conv_norm(f"{block}.conv3", f"{block}.bn3", inner, 4 * inner, 1)
            if b == 0:
                conv_norm(f"{block}.downsample.0", f"{block}.downsample.1", inputs, 4 * inner, 1)
            inputs = 4 * inner
    return {**shapes, "fc.weight": (classes, inputs), "fc.bias": (classes,)}


@pytest.fixture(scope="module")
def state():
    stream = np.random.default_rng(0)

    def draw(name, shape):
        if name.endswith("running_var"):
            return stream.uniform(0.5, 1.5, shape)
        return (
            stream.normal(size=shape) / np.sqrt(np.prod(shape[1:])) if len(shape) > 1 else stream.normal(1, 0.1, shape)
        )

    return {name: draw(name, shape).astype(np.float32) for name, shape in resnet_shapes(**TINY).items()}


def published_resnet(state, x, depths):
    """Maps [B, C, H, W] by torchvision's definition, in its layout."""

    def conv_norm(x, convolution, norm, stride=1):
        kernel = state[f"{convolution}.weight"]
        border = (kernel.shape[2] // 2,) * 2
        x = lax.conv_general_dilated(x, kernel, (stride, stride), (border, border))
        scale, shift, mean, var = (
            jnp.asarray(state[f"{norm}.{leaf}"]).reshape(1, -1, 1, 1)
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale + shift

    x = jax.nn.relu(conv_norm(x, "conv1", "bn1", 2))
    x = lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, 3, 3), (1, 1, 2, 2), ((0, 0), (0, 0), (1, 1), (1, 1)))
    maps = []
    for s, depth in enumerate(depths, start=1):
        for b in range(depth):
            block, stride = f"layer{s}.{b}", 2 if s > 1 and b == 0 else 1
            y = jax.nn.relu(conv_norm(x, f"{block}.conv1", f"{block}.bn1"))
            y = jax.nn.relu(conv_norm(y, f"{block}.conv2", f"{block}.bn2", stride))
            y = conv_norm(y, f"{block}.conv3", f"{block}.bn3")
            if b == 0:
                x = conv_norm(x, f"{block}.downsample.0", f"{block}.downsample.1", stride)
            x = jax.nn.relu(x + y)
        maps.append(x)
    return maps


def test_resnet_computes_what_torchvision_defines(state):
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, 3, 50, 37)), jnp.float32)
    expected = jax.jit(lambda images: published_resnet(state, images, TINY["depths"]))(x)
    variables = convert_backbone("tiny_resnet", state)
    apply = jax.jit(lambda v, images: build("tiny_resnet").apply(v, images, train=False))
    for ours, theirs in zip(apply(variables, x.transpose(0, 2, 3, 1)), expected, strict=True):
        np.testing.assert_allclose(ours.transpose(0, 3, 1, 2), theirs, rtol=1e-4, atol=1e-4)


def test_resnet101_has_a_place_for_every_tensor():
    shapes = resnet_shapes((3, 4, 23, 3), 64)
    learnt = [s for name, s in shapes.items() if not name.endswith(("running_mean", "running_var", "tracked"))]
    assert (len(shapes), sum(map(np.prod, learnt))) == (626, 44_549_160)  # as published
    state = {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}
    assert recognise(state) == "resnet"
    convert_backbone("resnet", state)


def test_children_are_the_same_weights(state):
    numbers = {"conv1": "0", "bn1": "1", **{f"layer{s}": str(s + 3) for s in range(1, 5)}}
    split = {name: name.partition(".") for name in state if not name.startswith("fc")}
    children = {f"{numbers[head]}.{rest}": state[name] for name, (head, _, rest) in split.items()}
    assert recognise(children, "children") == "tiny_resnet"
    converted = convert_backbone("tiny_resnet", children, "children")
    jax.tree.map(np.testing.assert_array_equal, converted, convert_backbone("tiny_resnet", state))


def test_tensors_of_another_network_are_named(state):
    lacking = {name: tensor for name, tensor in state.items() if name != "layer2.1.conv2.weight"}
    with pytest.raises(UserError, match="nothing for 'params/stage_2_block_1/spatial/conv/kernel'"):
        convert_backbone("tiny_resnet", lacking)
    with pytest.raises(UserError, match=r"no place for 'layer9\.0\.conv1\.weight'"):
        convert_backbone("tiny_resnet", {**state, "layer9.0.conv1.weight": state["conv1.weight"]})
    with pytest.raises(UserError, match=r"backbone resnet: tensor 'conv1\.weight'"):
        convert_backbone("resnet", state)
    with pytest.raises(UserError, match=r"no place for 'conv1\.weight'"):
        convert_backbone("tiny_mobilenet", state)
    with pytest.raises(UserError, match="fit none of the backbones"):
        recognise(lacking)


def test_our_own_backbones_have_no_published_weights(state, monkeypatch):
    ours = Backbone(lambda **_: nn.Dense(1), (1, 1, 1, 1))
    monkeypatch.setattr(backbones, "BACKBONES", {"ours": ours, **BACKBONES})
    with pytest.raises(UserError, match="backbone ours is ours"):
        convert_backbone("ours", state)
    monkeypatch.setattr(torchvision, "BACKBONES", {"ours": ours, "tiny_resnet": BACKBONES["tiny_resnet"]})
    assert recognise(state) == "tiny_resnet"


def test_window_positions_must_be_ours():
    name = "features.1.0.attn.relative_position_index"
    with pytest.raises(UserError, match=rf"the fixed tensor '{name}'"):
        convert_backbone("tiny_swin", {name: np.zeros(81, np.int64)})
    with pytest.raises(UserError, match="nothing for"):  # the index is right, only everything else is missing
        convert_backbone("tiny_swin", {name: relative_positions(3)})
