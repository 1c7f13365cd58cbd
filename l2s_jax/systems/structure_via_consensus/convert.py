"""Conversion of published weights of Structure via Consensus to variables of `models.face_occ_net.FaceOccNet`.

The published state dict numbers the modules of three sequences (`model_enc`, `model_dilation`, `model_dec`), with
padding, activations and pixel shuffles in between, and ends in `model_class`; NCHW.
"""

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline.errors import UserError, require
from input_pipeline.images.resize_rules import PAD_SQUARE_BICUBIC
from l2s_jax.models.face_occ_net import FaceOccNet
from l2s_jax.systems.base import Converted, choose_head
from l2s_jax.systems.structure_via_consensus import config as recipes
from l2s_jax.systems.structure_via_consensus.published import WEIGHTS
from l2s_jax.torch_weights.state_dict import Rule, State, batch_norm, conv, convert, layer

RESIZE = PAD_SQUARE_BICUBIC
"""How images were made square for the network: Pillow's `thumbnail`, which keeps the aspect ratio."""

_CONVOLUTIONS = {
    "model_enc": {1: "enc0", 4: "enc1", 8: "enc2", 12: "enc3", 16: "enc4"},
    "model_dilation": {1: "dil0", 5: "dil1"},
    "model_dec": {1: "dec0", 6: "dec1", 10: "dec2", 15: "dec3", 18: "dec4"},
}
_BARE = ("enc0", "dec3", "dec4")
"""Convolutions without batch normalisation; the others' follows two modules later, after the activation."""

_COUNTER = "num_batches_tracked"
"""Tensor of every normalisation; PyTorch uses it only to average without a decay, which is not done here."""


def convert_checkpoint(state: State) -> tuple[FaceOccNet, dict]:
    """Convert a published network.

    Args:
      state: its complete state dict, without the prefix of parallel training.

    Returns:
      the module, and its variables `params` and `batch_stats`, float32 numpy arrays.

    Raises:
      UserError: not FaceOccNet, or a tensor is missing, unexpected or of another shape; the message names it.
    """
    head = state.get("model_class.weight")
    if head is None or np.ndim(head) != 4:
        raise UserError("these are not FaceOccNet's weights: no tensor 'model_class.weight' of rank 4")
    module = FaceOccNet(classes=head.shape[0])
    image = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.float32)
    target = jax.eval_shape(lambda key, x: module.init(key, x, train=False), jax.random.key(0), image)
    weights = {name: tensor for name, tensor in state.items() if name not in _COUNTERS}
    return module, convert(weights, RULES, (), target, "FaceOccNet")


_NORMS = {
    f"{part}.{number + 2}": f"{name}_norm"
    for part, layers in _CONVOLUTIONS.items()
    for number, name in layers.items()
    if name not in _BARE
}
_COUNTERS = {f"{norm}.{_COUNTER}" for norm in _NORMS}

RULES: tuple[Rule, ...] = (
    *(
        r
        for part, layers in _CONVOLUTIONS.items()
        for n, name in layers.items()
        for r in layer(rf"{part}\.{n}", name, conv)
    ),
    *(r for source, name in _NORMS.items() for r in batch_norm(source.replace(".", r"\."), name)),
    *layer("model_class", "classes", conv),
)


def read(state: State, head: str | None, config: ConfigDict) -> Converted:
    """Convert the authors' tensors, see `base.Reader`."""
    module, variables = convert_checkpoint(state)
    require(module.classes == 3, f"this FaceOccNet has {module.classes} classes, the published ones 3")
    chosen = choose_head(WEIGHTS, head, f"{module.classes} classes")
    recipes.published(config)
    title = f"Structure via Consensus, FaceOccNet, {module.classes} classes"
    config.label_set, config.data.resize = chosen.label_set, RESIZE.name
    return Converted(title, chosen, config, {"network": variables})
