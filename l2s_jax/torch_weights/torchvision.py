"""Convert torchvision's ImageNet weights to variables of our backbones.

There is one table of rules per family, for torchvision's own names. Checkpoints that hold the encoder as a bare
sequence of torchvision's children (SegFace: `backbone.0.1.0.attn...`) are first renamed to those.
"""

import functools
import math
import re
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict

from input_pipeline.errors import UserError, require
from l2s_jax.models.backbones import BACKBONES, build
from l2s_jax.models.backbones.convnext import ConvNeXt
from l2s_jax.models.backbones.inverted_residual import InvertedResidualNet
from l2s_jax.models.backbones.resnet import ResNet
from l2s_jax.models.backbones.swin import Swin
from l2s_jax.models.backbones.swin_v2 import log_coordinates
from l2s_jax.models.backbones.windows import relative_positions
from l2s_jax.torch_weights.state_dict import (
    Constant,
    Rule,
    State,
    Target,
    batch_norm,
    conv,
    convert,
    dense,
    flat,
    layer,
    leaf,
    norm,
    pointwise,
    within,
)

Naming = Literal["torchvision", "children"]
"""`torchvision`: the names in its models. `children`: Swin, ConvNeXt and ResNet as `Sequential(*model.children())`,
MobileNet and EfficientNet as `model.features`. Then `0.1.0...` is `features.1.0...`, `1...` Swin's last norm and `4...`
ResNet's `layer1...`."""

UNUSED = r"(norm|head|classifier|fc)\..*|.*\.num_batches_tracked"
"""Tensors that our backbones lack: final norm and classifier behind the last feature map, torch's batch counters."""

Rules = tuple[Rule, ...]


def convert_backbone(name: str, state: State, naming: Naming = "torchvision") -> dict:
    """Convert the tensors to the variables of `models.backbones.build(name)`.

    Args:
      name: key of `BACKBONES`.
      state: tensors by name, without any prefix; those of `UNUSED` may be present or not.
      naming: convention of the names.

    Returns:
      float32 numpy arrays: `params`, and `batch_stats` if the family has batch normalisation.

    Raises:
      UserError: the backbone is unknown or not torchvision's, or tensors do not fit; the message names them.
    """
    module = build(name)
    require(type(module) in _CHILDREN, f"backbone {name} is ours: there are no published weights for it")
    used = _used(module, state, naming)
    return convert(used, rules(module), constants(module), _variables(module), f"backbone {name}")


def recognise(state: State, naming: Naming = "torchvision") -> str:
    """Return the name of the backbone that the tensors, given as to `convert_backbone`, belong to.

    Raises:
      UserError: they fit no backbone in the registry.
    """
    for name in BACKBONES:
        module = build(name)
        if type(module) in _CHILDREN and _fits(module, _used(module, state, naming)):
            return name
    raise UserError(f"the {len(state)} tensors of the encoder fit none of the backbones {', '.join(BACKBONES)}")


def _fits(module: nn.Module, state: State) -> bool:
    fixed, table = constants(module), rules(module)
    sizes = {}
    for key, tensor in state.items():
        if any(re.fullmatch(constant.pattern, key) for constant in fixed):
            continue
        path = next((p for rule in table if (p := rule.path(key)) is not None), None)
        if path is None:  # another family: no need to trace the module
            return False
        sizes[path] = math.prod(tensor.shape)
    return sizes == {path: leaf.size for path, leaf in flatten_dict(_variables(module), sep="/").items()}


@functools.cache
def _variables(module: nn.Module) -> dict:
    """Return the shapes of all variables."""
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    return jax.eval_shape(lambda key, x: module.init(key, x, train=False), jax.random.key(0), images)


def _used(module: nn.Module, state: State, naming: Naming) -> dict[str, np.ndarray]:
    """Select the tensors that our backbones have too, under torchvision's names."""
    rename = _CHILDREN[type(module)] if naming == "children" else str
    named = {rename(key): tensor for key, tensor in state.items()}
    return {key: tensor for key, tensor in named.items() if not re.fullmatch(UNUSED, key)}


def _children(names: dict[str, str]) -> Callable[[str], str]:
    def rename(key: str) -> str:
        child, _, rest = key.partition(".")
        return f"{names.get(child, child)}.{rest}"

    return rename


# The families that torchvision has.
_CHILDREN = {
    Swin: _children({"0": "features", "1": "norm"}),
    ConvNeXt: _children({"0": "features"}),
    ResNet: _children({"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"}),
    InvertedResidualNet: "features.{}".format,
}


def rules(module: nn.Module) -> Rules:
    """Return the table of rules for a backbone's module."""
    return _inverted_residual(module) if isinstance(module, InvertedResidualNet) else _TABLES[type(module)]


def constants(module: nn.Module) -> tuple[Constant, ...]:
    """Return the window position tensors, which torchvision stores and we compute."""
    if not isinstance(module, Swin):
        return ()
    window = module.window
    return (
        Constant(r".*\.relative_position_index", lambda shape: relative_positions(window)),
        Constant(r".*\.relative_coords_table", lambda shape: log_coordinates(window)[None]),
    )


# torchvision numbers stages and the layers between them in one sequence: stem, stage 1, down 2, stage 2, down 3 ...
_BLOCK, _DOWN = r"features\.([1357])\.(\d+)", r"features\.([246])"


def _block(match: re.Match) -> str:
    return f"stage_{(int(match[1]) + 1) // 2}_block_{match[2]}"


def _down(match: re.Match) -> str:
    return f"down_{int(match[1]) // 2 + 1}"


def _conv_norm(convolution: str, norm: str, target: Target) -> Rules:
    return leaf(rf"{convolution}\.weight", target, "conv/kernel", conv), *batch_norm(norm, within(target, "norm"))


def _bias_table(tensor: np.ndarray) -> np.ndarray:
    """Reshape [S * S, heads] -> [S, S, heads]."""
    side = math.isqrt(tensor.shape[0])
    return tensor.reshape(side, side, -1)


def _swin() -> Rules:
    """Return the rules of V1 and V2: layers that only one of them has differ in name."""
    attention, source = within(_block, "attention"), rf"{_BLOCK}\.attn"
    return (
        *layer(r"features\.0\.0", "stem", conv),
        *norm(r"features\.0\.2", "stem_norm"),
        leaf(rf"{_DOWN}\.reduction\.weight", _down, "reduce/kernel", dense),
        *norm(rf"{_DOWN}\.norm", within(_down, "norm")),
        *norm(rf"{_BLOCK}\.norm1", within(_block, "attention_norm")),
        *norm(rf"{_BLOCK}\.norm2", within(_block, "mlp_norm")),
        *layer(rf"{_BLOCK}\.mlp\.0", within(_block, "mlp/expand"), dense),
        *layer(rf"{_BLOCK}\.mlp\.3", within(_block, "mlp/project"), dense),
        *layer(rf"{source}\.qkv", within(attention, "qkv"), dense),
        *layer(rf"{source}\.proj", within(attention, "project"), dense),
        leaf(rf"{source}\.relative_position_bias_table", attention, "relative_bias", _bias_table),
        leaf(rf"{source}\.logit_scale", attention, "logit_scale", flat),
        *layer(rf"{source}\.cpb_mlp\.0", within(attention, "position_hidden"), dense),
        leaf(rf"{source}\.cpb_mlp\.2\.weight", attention, "position_bias/kernel", dense),
    )


def _convnext() -> Rules:
    return (
        *layer(r"features\.0\.0", "stem", conv),
        *norm(r"features\.0\.1", "stem_norm"),
        *norm(rf"{_DOWN}\.0", within(_down, "norm")),
        *layer(rf"{_DOWN}\.1", within(_down, "conv"), conv),
        leaf(rf"{_BLOCK}\.layer_scale", _block, "layer_scale", flat),
        *layer(rf"{_BLOCK}\.block\.0", within(_block, "depthwise"), conv),
        *norm(rf"{_BLOCK}\.block\.2", within(_block, "norm")),
        *layer(rf"{_BLOCK}\.block\.3", within(_block, "expand"), dense),
        *layer(rf"{_BLOCK}\.block\.5", within(_block, "project"), dense),
    )


def _inverted_residual(module: InvertedResidualNet) -> Rules:
    # MobileNet numbers blocks consecutively, EfficientNet within their stage; which layer a number refers to depends on
    # which layers the block has.
    source, head = r"features\.(\d+)(?:\.(\d+))?\.block\.(\d+)", rf"features\.{len(module.stages) + 1}"
    layers = {
        (s, b, i): f"stage_{s}_block_{b}/{part}"
        for s, stage in enumerate(module.stages, start=1)
        for b, block in enumerate(stage)
        for i, part in enumerate(block.layers)
    }

    def place(match: re.Match) -> str:
        return layers.get((int(match[1]), int(match[2] or 0), int(match[3])), "no such block")

    return (
        *_conv_norm(r"features\.0\.0", r"features\.0\.1", "stem"),
        *_conv_norm(rf"{head}\.0", rf"{head}\.1", "head"),
        *_conv_norm(rf"{source}\.0", rf"{source}\.1", place),
        *layer(rf"{source}\.fc1", within(place, "reduce"), pointwise),
        *layer(rf"{source}\.fc2", within(place, "restore"), pointwise),
    )


def _resnet() -> Rules:
    block, target = r"layer(\d)\.(\d+)", r"stage_\1_block_\2"
    return (
        *_conv_norm("conv1", "bn1", "stem"),
        *_conv_norm(rf"{block}\.downsample\.0", rf"{block}\.downsample\.1", f"{target}/skip"),
        *_conv_norm(rf"{block}\.conv1", rf"{block}\.bn1", f"{target}/reduce"),
        *_conv_norm(rf"{block}\.conv2", rf"{block}\.bn2", f"{target}/spatial"),
        *_conv_norm(rf"{block}\.conv3", rf"{block}\.bn3", f"{target}/expand"),
    )


_TABLES = {Swin: _swin(), ConvNeXt: _convnext(), ResNet: _resnet()}
