"""Conversion of published identity encoders to variables of `models.recognition.ResidualEncoder`.

InsightFace's `backbone.pth` numbers blocks within stages, TreB1eN's `model_ir_se50.pth` numbers them throughout and
their layers within; both NCHW.
"""

import math
import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline.errors import UserError, require
from l2s_jax.models import recognition
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.identity_encoder import config as recipes
from l2s_jax.systems.identity_encoder.published import WEIGHTS
from l2s_jax.torch_weights.state_dict import (
    Constant,
    Rule,
    State,
    batch_norm,
    conv,
    convert,
    dense_of_maps,
    layer,
    leaf,
    pointwise,
    without_counters,
)

_STRIDE = 16
_ONES = (Constant(r"features\.weight", np.ones),)
"""The scale of InsightFace's last normalisation is not trained."""


def convert_checkpoint(state: State, config: ConfigDict) -> tuple[str, int, dict]:
    """Convert a published network.

    Args:
      state: its complete state dict.
      config: of this system, unlocked; `model` and the loss are edited to the network's.

    Returns:
      the name of the head, the side of the images that its dense layer fits, and the variables.

    Raises:
      UserError: none of the known networks, or a tensor is missing, unexpected or of another shape.
    """
    state = without_counters(state)
    head = next((name for name, sign in _SIGNS.items() if {sign, _DENSE[name]} <= {*state}), None)
    require(
        head is not None and state[_SIGNS[head]].ndim == 4 and state[_DENSE[head]].ndim == 2,
        "these are not the weights of an identity encoder: neither InsightFace's iresnet nor TreB1eN's IR-SE-50",
    )
    network, rules = {"ir_se50": _ir_se, "iresnet": _iresnet}[head](state)
    recipes.published(config, network)
    (width, *_), (outputs, columns) = state[_SIGNS[head]].shape, state[_DENSE[head]].shape
    cells = max(math.isqrt(columns // (8 * width)), 1)
    config.model.width, config.model.outputs, side = int(width), int(outputs), _STRIDE * cells
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    target = jax.eval_shape(recognition.build_identity(config.model).init, jax.random.key(0), image)
    dense = layer(re.escape(_DENSE[head].removesuffix(".weight")), "dense", dense_of_maps(cells, cells))
    return head, side, convert(state, (*rules, *dense), _ONES if head == "iresnet" else (), target, network)


_SIGNS = {"ir_se50": "input_layer.0.weight", "iresnet": "conv1.weight"}
_DENSE = {"ir_se50": "output_layer.3.weight", "iresnet": "fc.weight"}


def _iresnet(state: State) -> tuple[str, tuple[Rule, ...]]:
    """Return the name of an iresnet and the rules of all its layers but the dense one."""
    blocks = {(int(m[1]), int(m[2])) for name in state if (m := re.match(r"layer([1-4])\.(\d{1,3})\.", name))}
    depths = tuple(sum(stage == s for stage, _ in blocks) for s in (1, 2, 3, 4))
    at, block = r"layer(\d)\.(\d+)", r"stage_\1_block_\2"
    rules = (
        *_prelu("prelu", "stem_prelu"),
        *layer("conv1", "stem", conv),
        *batch_norm("bn1", "stem_norm"),
        *(rule for n in (1, 2, 3) for rule in batch_norm(rf"{at}\.bn{n}", rf"{block}/norm_{n}")),
        *(rule for n in (1, 2) for rule in layer(rf"{at}\.conv{n}", rf"{block}/conv_{n}", conv)),
        *_prelu(rf"{at}\.prelu", f"{block}/prelu"),
        *layer(rf"{at}\.downsample\.0", f"{block}/shortcut/conv", conv),
        *batch_norm(rf"{at}\.downsample\.1", f"{block}/shortcut/norm"),
        *batch_norm("bn2", "norm"),
        *batch_norm("features", "outputs_norm"),
    )
    return _named("iresnet", depths), rules


def _ir_se(state: State) -> tuple[str, tuple[Rule, ...]]:
    """Return the name of an IR-SE and the rules of all its layers but the dense one."""
    count = len({m[1] for name in state if (m := re.match(r"body\.(\d{1,3})\.", name))})
    found = [depths for depths in _depths("ir_se").values() if sum(depths) == count]
    require(found, f"this IR-SE has {count} blocks: known is IR-SE-50, with 24")
    names = [f"stage_{s}_block_{b}" for s, depth in enumerate(found[0], start=1) for b in range(depth)]

    def inside(part: str, match: re.Match) -> str:
        number = int(match[1])
        return f"{names[number] if number < count else 'nothing'}/{part}"

    def block(part: str):
        return partial(inside, part)

    inner, shortcut = r"body\.(\d+)\.res_layer\.", r"body\.(\d+)\.shortcut_layer\."
    rules = (
        *layer(r"input_layer\.0", "stem", conv),
        *batch_norm(r"input_layer\.1", "stem_norm"),
        *_prelu(r"input_layer\.2", "stem_prelu"),
        *batch_norm(f"{inner}0", block("norm_1")),
        *layer(f"{inner}1", block("conv_1"), conv),
        *_prelu(f"{inner}2", block("prelu")),
        *layer(f"{inner}3", block("conv_2"), conv),
        *batch_norm(f"{inner}4", block("norm_3")),
        *layer(rf"{inner}5\.fc1", block("squeeze/reduce"), pointwise),
        *layer(rf"{inner}5\.fc2", block("squeeze/restore"), pointwise),
        *layer(f"{shortcut}0", block("shortcut/conv"), conv),
        *batch_norm(f"{shortcut}1", block("shortcut/norm")),
        *batch_norm(r"output_layer\.0", "norm"),
        *batch_norm(r"output_layer\.4", "outputs_norm"),
    )
    return _named("ir_se", found[0]), rules


def _prelu(source: str, target) -> tuple[Rule, ...]:
    return (leaf(rf"{source}\.weight", target, "slope"),)


def _depths(family: str) -> dict[str, tuple[int, ...]]:
    """Return the depths of the networks of a family by name."""
    networks = recognition.IDENTITY.items()
    return {name: make.args[0] for name, make in networks if name.removeprefix("tiny_").startswith(family)}


def _named(family: str, depths: tuple[int, ...]) -> str:
    known = _depths(family)
    name = next((name for name, each in known.items() if each == depths), None)
    if name is None:
        shown = ", ".join(name for name in known if not name.startswith("tiny_"))
        raise UserError(f"this network has {depths} blocks in its stages: known are {shown}")
    return name


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    found, side, variables = convert_checkpoint(state, config)
    chosen = choose_head(WEIGHTS, head, "tensors", [found])
    title = f"Identity encoder {config.model.network}, {config.model.outputs} numbers a face,"
    return Converted(title, chosen, config, {"network": variables}, side)
