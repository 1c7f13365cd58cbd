"""Conversion of the published MobileFaceNet to variables of `models.recognition.MobileFaceNet`; NCHW."""

import re

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax.models import recognition
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.landmark_regressor import config as recipes
from l2s_jax.systems.landmark_regressor.published import WEIGHTS
from l2s_jax.torch_weights.state_dict import (
    Rule,
    State,
    Target,
    batch_norm,
    conv,
    convert,
    layer,
    leaf,
    within,
    without_counters,
)

_STEM, _POOL, _DENSE = "conv1.conv.weight", "output_layer.conv_6_dw.conv.weight", "output_layer.linear.weight"
_STRIDE = 16
_STAGES = {"23": 1, "34": 2, "45": 3}
"""Stage by the name of the published block that begins it; the others of stage s are those of `conv_S`."""


def convert_checkpoint(state: State, config: ConfigDict) -> tuple[int, dict]:
    """Convert the published network.

    Args:
      state: its complete state dict.
      config: of this system, unlocked; `model` is edited to the network's.

    Returns:
      the side of the images that its last convolution fits, and the variables.

    Raises:
      UserError: another network, or a tensor is missing, unexpected or of another shape.
    """
    state = without_counters(state)
    ranks = {_STEM: 4, _POOL: 4, _DENSE: 2}
    require(
        all(name in state and state[name].ndim == rank for name, rank in ranks.items()),
        "these are not the weights of a landmark regressor: the only one known is MobileFaceNet with a global "
        "depthwise convolution",
    )
    recipes.published(config)
    config.model.width, config.model.points = int(state[_STEM].shape[0]), int(state[_DENSE].shape[0]) // 2
    if not any(name.startswith("conv_3.model.1.") for name in state):
        config.model.network = "tiny_mobilefacenet"
    side = _STRIDE * int(state[_POOL].shape[-1])
    image = jax.ShapeDtypeStruct((1, side, side, 3), jnp.float32)
    target = jax.eval_shape(recognition.build_landmarks(config.model).init, jax.random.key(0), image)
    return side, convert(state, RULES, (), target, "MobileFaceNet")


def _first(match: re.Match) -> str:
    return f"stage_{_STAGES[match[1]]}_block_0"


def _later(match: re.Match) -> str:
    return f"stage_{int(match[1]) - 2}_block_{int(match[2]) + 1}"


def _unit(source: str, target: Target, slope: Target | None) -> tuple[Rule, ...]:
    """Return the rules of convolution, normalisation and, if there is one, PReLU."""
    prelu = () if slope is None else (leaf(rf"{source}\.prelu\.weight", slope, "slope"),)
    norm = batch_norm(rf"{source}\.bn", within(target, "norm"))
    return (*layer(rf"{source}\.conv", within(target, "conv"), conv), *norm, *prelu)


def _block(source: str, block: Target) -> tuple[Rule, ...]:
    return (
        *_unit(rf"{source}\.conv", within(block, "expand"), within(block, "expand_prelu")),
        *_unit(rf"{source}\.conv_dw", within(block, "spatial"), within(block, "spatial_prelu")),
        *_unit(rf"{source}\.project", within(block, "project"), None),
    )


RULES: tuple[Rule, ...] = (
    *_unit("conv1", "stem", "stem_prelu"),
    *_unit("conv2_dw", "stem_spatial", "stem_spatial_prelu"),
    *_block(r"conv_(23|34|45)", _first),
    *_block(r"conv_([345])\.model\.(\d{1,3})", _later),
    *_unit("conv_6_sep", "head", "head_prelu"),
    *layer(r"output_layer\.conv_6_dw\.conv", "pool", conv),
    *batch_norm(r"output_layer\.conv_6_dw\.bn", "pool_norm"),
    *layer(r"output_layer\.linear", "dense"),
    *batch_norm(r"output_layer\.bn", "outputs_norm"),
)


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    side, variables = convert_checkpoint(state, config)
    chosen = choose_head(WEIGHTS, head, f"{config.model.points} points")
    return Converted(f"MobileFaceNet, {config.model.points} landmarks", chosen, config, {"network": variables}, side)
