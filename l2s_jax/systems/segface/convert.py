"""Conversion of published SegFace weights to variables of `models.segface.SegFace`.

The published state dict holds an encoder under `backbone.` (torchvision's modules as a bare sequence, with unused
last layers), a projection of each level (`linear_c`), their mixing (`linear_fuse`), the frequencies of the position
code (`pe_layer`) and the decoder (`face_decoder`), NCHW. Tensor names and shapes identify the network.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline.errors import require
from input_pipeline.images.resize_rules import STRETCH
from l2s_jax.models import backbones
from l2s_jax.models.class_token_decoder import ClassTokenDecoder
from l2s_jax.models.level_fusion import LevelFusion
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.segface import config as recipes
from l2s_jax.systems.segface.published import WEIGHTS
from l2s_jax.torch_weights import torchvision
from l2s_jax.torch_weights.state_dict import Rule, State, convert, dense, layer, norm, same

CHANNELS, HEADS = 256, 8
"""Channels of tokens and fused features, and heads of every attention layer, in all published models."""

RESIZE = STRETCH
"""How images were made square for training and evaluation of all published networks."""

_MODULES = {"backbone", "face_decoder", "linear_c", "linear_fuse", "pe_layer"}

# One embedding per class, in the order of the logits, which are the ids in the data set's files (`labels` documents
# their sides). In the names below, left and right are the image's: `rightear` is logit 4, trained on CelebAMask-HQ's
# `l_ear`, the subject's left ear; `lefteye` of LaPa and Helen is LaPa's id 4, the subject's right eye.
_CELEB_TOKENS = (
    *("background", "neck", "face", "cloth", "rightear", "leftear", "rightbro", "leftbro", "righteye", "lefteye"),
    *("nose", "innermouth", "lowerlip", "upperlip", "hair", "glass", "hat", "earring", "necklace"),
)
_PART_TOKENS = (
    *("background", "face", "leftbro", "rightbro", "lefteye", "righteye"),
    *("nose", "upperlip", "innermouth", "lowerlip", "hair"),
)
_TOKENS = {"celeb": _CELEB_TOKENS, "lapa": _PART_TOKENS, "helen": _PART_TOKENS}


class Published(NamedTuple):
    """The published network that some tensors belong to.

    Attributes:
      heads: names of `WEIGHTS.heads`; LaPa's and Helen's networks have the same tensors.
      backbone: key of `models.backbones.BACKBONES`; the published code's `convnext_tiny` is our `convnext_small`.
      classes: K.
    """

    heads: tuple[str, ...]
    backbone: str
    classes: int


def recognise(state: State) -> Published:
    """Identify the network of a state dict from tensor names and shapes alone.

    Raises:
      UserError: it is not a published network.
    """
    missing = sorted(_MODULES - {name.partition(".")[0] for name in state})
    require(not missing, f"these are not SegFace's weights: of its modules, {', '.join(missing)} are missing")
    found = {match[1] for name in state if (match := re.fullmatch(r"face_decoder\.(\w+)_token\.weight", name))}
    heads = tuple(head for head, tokens in _TOKENS.items() if set(tokens) == found)
    require(heads, f"these {len(found)} class tokens are not those of SegFace's {', '.join(_TOKENS)}")
    backbone = torchvision.recognise(_below("backbone", state), "children")
    return Published(heads, backbone, len(found))


def convert_checkpoint(state: State) -> tuple[Published, dict]:
    """Convert a published network.

    Args:
      state: its complete state dict, without the prefix of parallel training.

    Returns:
      the network's description, and the variables of
      `SegFace(backbones.build(published.backbone), published.classes)`: `params`, `constants`, and `batch_stats` if the
      backbone has them; float32 numpy arrays.

    Raises:
      UserError: not a published network, or a tensor is missing, unexpected or of another shape; the message names it.
    """
    published = recognise(state)
    rest = {name: tensor for name, tensor in state.items() if not name.startswith("backbone.")}
    rest = _with_tokens(rest, _TOKENS[published.heads[0]])
    variables = convert(rest, RULES, (), _head_shapes(published), "SegFace decoder")
    encoder = torchvision.convert_backbone(published.backbone, _below("backbone", state), "children")
    for collection, values in encoder.items():
        variables.setdefault(collection, {})["backbone"] = values
    return published, variables


def _below(module: str, state: State) -> dict[str, np.ndarray]:
    prefix = f"{module}."
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}


def _with_tokens(state: State, tokens: Sequence[str]) -> dict[str, np.ndarray]:
    """Replace the embeddings of the classes by one tensor [K, C], in the order of the logits."""
    names = [f"face_decoder.{token}_token.weight" for token in tokens]
    rest = {name: tensor for name, tensor in state.items() if name not in names}
    return {"face_decoder.tokens": _stacked([state[name] for name in names]), **rest}


def _stacked(rows: list[np.ndarray]) -> np.ndarray:
    require(all(row.shape == rows[0].shape for row in rows), "SegFace decoder: its class tokens differ in shape")
    return np.concatenate(rows)


@functools.cache
def _head_shapes(published: Published) -> Mapping:
    """Return the shapes of all variables outside the backbone, without building one."""
    channels = backbones.find(published.backbone).channels
    levels = [jax.ShapeDtypeStruct((1, 8 >> i, 8 >> i, c), jnp.float32) for i, c in enumerate(channels)]
    fused = jax.ShapeDtypeStruct((1, 8, 8, CHANNELS), jnp.float32)
    fusion = jax.eval_shape(LevelFusion(CHANNELS).init, jax.random.key(0), levels)
    decoder = jax.eval_shape(ClassTokenDecoder(published.classes).init, jax.random.key(0), fused)
    return {
        "params": {"fusion": fusion["params"], "decoder": decoder["params"]},
        "constants": {"decoder": decoder["constants"]},
    }


def _attention(source: str, target: str) -> tuple[Rule, ...]:
    inputs = (("q", "query"), ("k", "key"), ("v", "value"))
    return (
        *(r for s, t in inputs for r in layer(rf"{source}\.{s}_proj", f"{target}/{t}", _to_heads, _bias_of_heads)),
        *layer(rf"{source}\.out_proj", f"{target}/out", _from_heads),
    )


def _to_heads(tensor: np.ndarray) -> np.ndarray:
    """Convert a kernel [heads * D, C] -> [C, heads, D]."""
    return dense(tensor).reshape(tensor.shape[1], HEADS, -1)


def _bias_of_heads(tensor: np.ndarray) -> np.ndarray:
    """Convert a bias [heads * D] -> [heads, D]."""
    return tensor.reshape(HEADS, -1)


def _from_heads(tensor: np.ndarray) -> np.ndarray:
    """Convert a kernel [C, heads * D] -> [heads, D, C]."""
    return dense(tensor).reshape(HEADS, -1, tensor.shape[0])


def _enlarging(tensor: np.ndarray) -> np.ndarray:
    """Convert a transposed convolution of stride 2, [I, O, 2, 2] -> dense [I, 4 * O], pixel (i, j) in block 2 i + j."""
    return tensor.transpose(0, 2, 3, 1).reshape(tensor.shape[0], -1)


def _bias_of_pixels(tensor: np.ndarray) -> np.ndarray:
    """Repeat a bias for the four pixels, [O] -> [4 * O]."""
    return np.tile(tensor, 4)


def _mixing(tensor: np.ndarray) -> np.ndarray:
    """Convert a 1 x 1 convolution [O, I, 1, 1] -> [I, O]."""
    return dense(tensor[:, :, 0, 0])


_DECODER, _TRANSFORMER = "face_decoder", r"face_decoder\.transformer"
_LAYER, _BLOCK = rf"{_TRANSFORMER}\.layers\.(\d)", r"decoder/transformer/block\1"

RULES: tuple[Rule, ...] = (
    *layer(r"linear_c\.(\d)\.proj", r"fusion/level\1"),
    Rule(r"linear_fuse\.weight", "params/fusion/mixing", _mixing),
    Rule(r"pe_layer\.positional_encoding_gaussian_matrix", "constants/decoder/position/frequencies", same),
    Rule(rf"{_DECODER}\.tokens", "params/decoder/tokens", same),
    *_attention(rf"{_LAYER}\.self_attn", f"{_BLOCK}/tokens_to_tokens"),
    *_attention(rf"{_LAYER}\.cross_attn_token_to_image", f"{_BLOCK}/tokens_to_image"),
    *_attention(rf"{_LAYER}\.cross_attn_image_to_token", f"{_BLOCK}/image_to_tokens"),
    *norm(rf"{_LAYER}\.norm(\d)", rf"{_BLOCK}/norm\2"),
    *layer(rf"{_LAYER}\.mlp\.lin(\d)", rf"{_BLOCK}/mlp\2"),
    *_attention(rf"{_TRANSFORMER}\.final_attn_token_to_image", "decoder/transformer/tokens_to_image"),
    *norm(rf"{_TRANSFORMER}\.norm_final_attn", "decoder/transformer/norm"),
    *layer(rf"{_DECODER}\.output_upscaling\.0", "decoder/enlarge1", _enlarging, _bias_of_pixels),
    *norm(rf"{_DECODER}\.output_upscaling\.1", "decoder/enlarge_norm"),
    *layer(rf"{_DECODER}\.output_upscaling\.3", "decoder/enlarge2", _enlarging, _bias_of_pixels),
    *layer(rf"{_DECODER}\.output_hypernetwork_mlps\.layers\.(\d)", r"decoder/classifier\1"),
)


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    published, variables = convert_checkpoint(state)
    chosen = choose_head(WEIGHTS, head, f"{published.classes} classes", published.heads)
    recipes.published(config)
    config.model.backbone = published.backbone
    config.model.warp = "published" if chosen.name == "lapa" else "none"
    config.data.framing = "face_inside" if chosen.name == "helen" else "whole"
    title = f"SegFace, {published.backbone}, {published.classes} classes"
    config.label_set, config.data.resize = chosen.label_set, RESIZE.name
    return Converted(title, chosen, config, {"network": variables})
