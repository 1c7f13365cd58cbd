"""SegFace (Narayan, VS and Patel, AAAI 2025, arXiv 2412.08647): face parsing with one token per class.

One network, one training step. With `model.warp` the network parses the tanh-warped face, and its logits are warped
back to the image before the loss. See config.py for the recipes.
"""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from input_pipeline.labels import LabelSet
from input_pipeline.loading.resolution_schedule import sides_by_field
from l2s_jax import optim
from l2s_jax.layers import dropout, tanh_warp
from l2s_jax.losses import segmentation
from l2s_jax.models.segface import SegFace
from l2s_jax.systems import consensus_term, single_network
from l2s_jax.systems.segface.forward import build_network, forward
from l2s_jax.systems.segface.initial import with_weights
from l2s_jax.types import Axis, Batch, Predict, Prediction, PyTree, System, TrainState, step_rng

Warp = tanh_warp.Convention | None


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: unknown backbone or label set, or inconsistent fields.
    """
    for field, side in sides_by_field(config.image_size, config.data.resolution_schedule):
        require(side % 32 == 0, f"{field}={side} must be a multiple of 32, the coarsest stride of a backbone")
    consensus_term.check(config)
    label_set = labels.get(config.label_set)
    network, warp = build_network(config, len(label_set)), tanh_warp.CONVENTIONS.get(config.model.warp)
    require(
        warp is None or not config.model.mirror,
        f"model.mirror needs model.warp=none, not {config.model.warp}: landmarks have no mirror image",
    )
    optimiser = _optimiser(config, network)
    terms = functools.partial(_terms, network, warp, config, _class_weights(config.loss, len(label_set)))
    return System(
        name="segface",
        label_set=label_set,
        predict=_predict_mirrored(network, label_set) if config.model.mirror else _predict(network, warp),
        init_from=functools.partial(with_weights, config) if config.model.init_from else None,
        learns_from=(config.model.init_from,) if config.model.init_from else (),
        needs=("image", "mask", *(() if warp is None else ("landmarks",)), *consensus_term.needs(config)),
        any_size=True,
        **single_network.functions(config, network, terms, consensus_term.weights(config.loss), optimiser=optimiser),
    )


def _optimiser(config: ConfigDict, network: SegFace) -> optax.GradientTransformation:
    decay, accumulate = config.optim.stage_decay, config.train.accumulate
    own = optim.with_total_steps(config.optim.network, config.train.steps // accumulate)
    if decay == 1:
        return optim.build(own, accumulate=accumulate)
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    variables = jax.eval_shape(functools.partial(network.init, train=False), jax.random.key(0), image)
    last = max(_stage(("backbone", name)) for name in variables["params"]["backbone"])
    return optim.build(own, optim.stage_decay(_stage, last, decay), accumulate)


def _stage(path: tuple[str, ...]) -> int | None:
    """Return the backbone stage of a parameter: 0 for the stem; None outside the backbone."""
    if path[0] != "backbone":
        return None
    numbered = re.match(r"(?:stage|down)_(\d+)", path[1])
    if numbered:
        return int(numbered[1])
    return 0 if path[1].startswith("stem") else 5  # the head of mobile networks follows their fifth stage


def _class_weights(loss: ConfigDict, classes: int) -> np.ndarray | None:
    """Return class weights s**-rarity for pixel shares s, float32 [K], with mean 1 over pixels; None = all equal."""
    if not loss.rarity:
        return None
    shares = np.asarray(loss.pixel_shares, np.float64)
    require(
        shares.shape == (classes,) and (shares > 0).all(),
        f"loss.rarity={loss.rarity} needs loss.pixel_shares: {classes} numbers above 0, one for each class "
        "(`l2s data stats SPEC --json FILE` counts them)",
    )
    shares = shares / shares.sum()
    weights = shares**-loss.rarity
    return np.asarray(weights / (shares * weights).sum(), np.float32)


def _terms(
    network: SegFace,
    warp: Warp,
    config: ConfigDict,
    class_weights: np.ndarray | None,
    variables: PyTree,
    state: TrainState,
    batch: Batch,
    axis: Axis,
) -> tuple[dict[str, jax.Array], PyTree]:
    """Return the unweighted terms by the names of their weights, and the new batch statistics."""
    rngs, landmarks = {dropout.RNG: step_rng(state, "train")}, batch.get("landmarks")
    mode = {"train": True, "rngs": rngs, "mutable": ["batch_stats"]}
    logits, updated = forward(network, warp, variables, batch["image"], landmarks, **mode)
    loss, mask, weight = config.loss, batch["mask"], batch["weight"]
    terms = {}
    if loss.cross_entropy:
        terms["cross_entropy"] = segmentation.cross_entropy(
            logits, mask, weight, axis.psum, class_weights=class_weights, label_smoothing=loss.label_smoothing
        )
    if loss.dice:
        terms["dice"] = segmentation.dice(
            logits, mask, weight, axis.psum, smooth=1e-5, squared=True, present_only=loss.dice_present_only
        )
    if loss.consensus.weight:
        terms["consensus"] = consensus_term.term(config, logits, batch, axis)
    require(terms, "no weight of config.loss is above 0: set loss.cross_entropy, loss.dice or loss.consensus.weight")
    return terms, updated


def _predict(network: SegFace, warp: Warp) -> Predict:
    def predict(variables, image, landmarks=None):
        logits, _ = forward(network, warp, variables["network"], image, landmarks, train=False)
        return Prediction(logits)

    return predict


def _predict_mirrored(network: SegFace, label_set: LabelSet) -> Predict:
    exchanged = label_set.flip[: len(label_set)]

    def predict(variables, image, landmarks=None):
        del landmarks  # there is no warp
        # One after the other: converters do not know batches of 2 B rows where B is a symbol.
        straight, mirrored = (
            forward(network, None, variables["network"], x, None, train=False)[0] for x in (image, image[:, :, ::-1])
        )
        return Prediction((straight + mirrored[:, :, ::-1, exchanged]) / 2)

    return predict
