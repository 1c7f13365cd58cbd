"""SegFace (Narayan, VS and Patel, AAAI 2025, arXiv 2412.08647): face parsing with one token per class.

One network, one step. See config.py for the recipes.
"""

import functools

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import optim
from l2s_jax.layers import drop_path
from l2s_jax.losses import segmentation
from l2s_jax.models import backbones
from l2s_jax.models.segface import SegFace
from l2s_jax.systems.contract import (
    WHOLE_BATCH,
    Axis,
    Batch,
    Metrics,
    Prediction,
    PyTree,
    System,
    TrainState,
    step_rng,
)
from l2s_jax.systems.segface.config import default_config, published

__all__ = ["build", "default_config", "published"]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's RGB in [0, 1]: what the backbones expect to be normalised by."""


def build(config: ConfigDict) -> System:
    """The system of one config.

    Raises:
      UserError: an unknown backbone or label set, or an image size that the strides do not divide.
    """
    if config.image_size % 32:
        raise UserError(f"image_size={config.image_size} must be a multiple of 32, the coarsest stride of a backbone")
    label_set = labels.get(config.label_set)
    network = _network(config, len(label_set))
    optimiser = optim.build(optim.ending(config.optim.network, config.train.steps))
    return System(
        name="segface",
        label_set=label_set,
        init=functools.partial(_init, network, optimiser, config),
        steps={"train": functools.partial(_train, network, optimiser, config)},
        schedule=lambda step: ("train",),
        variables=functools.partial(_variables, config),
        predict=functools.partial(_predict, network),
    )


def _network(config: ConfigDict, classes: int) -> SegFace:
    model, dtype = config.model, jnp.dtype(config.precision.compute)
    depth = None if model.stochastic_depth < 0 else model.stochastic_depth
    backbone = backbones.build(model.backbone, stochastic_depth=depth, dtype=dtype)
    return SegFace(backbone, classes, model.channels, dtype)


def normalise(image: jax.Array) -> jax.Array:
    """[..., 3] in [-1, 1] -> as ImageNet's networks expect it."""
    mean, std = jnp.asarray(MEAN, image.dtype), jnp.asarray(STD, image.dtype)
    return ((image + 1) / 2 - mean) / std


def _init(network: SegFace, optimiser: optax.GradientTransformation, config: ConfigDict, rng: jax.Array) -> TrainState:
    params_rng, step_key = jax.random.split(rng)
    image = jnp.zeros((1, config.image_size, config.image_size, 3))
    variables = dict(network.init(params_rng, image, train=False))
    params = variables.pop("params")
    # A copy, not an alias: the state is donated, and one buffer cannot be donated twice.
    ema = {"network": jax.tree.map(jnp.copy, {"params": params, **variables})} if config.optim.ema else {}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=step_key,
        params={"network": params},
        stats={"network": variables},
        ema=ema,
        opt_state={"network": optimiser.init(params)},
    )


def _train(
    network: SegFace,
    optimiser: optax.GradientTransformation,
    config: ConfigDict,
    state: TrainState,
    batch: Batch,
    axis: Axis,
) -> tuple[TrainState, Metrics]:
    _check_axis(network, state, axis)
    params, stats = state.params["network"], state.stats["network"]

    def objective(trained):
        logits, moved = network.apply(
            {"params": trained, **stats},
            normalise(batch["image"]),
            train=True,
            rngs={drop_path.RNG: step_rng(state, "train")},
            mutable=["batch_stats"],
        )
        terms = _terms(config.loss, logits, batch, axis)
        return sum(config.loss[name] * value for name, value in terms.items()), (terms, moved)

    (loss, (terms, moved)), grads = jax.value_and_grad(objective, has_aux=True)(params)
    updates, opt_state = optimiser.update(axis.total(grads), state.opt_state["network"], params)
    params, stats = optax.apply_updates(params, updates), stats | moved
    state = state.replace(
        params={"network": params},
        stats={"network": stats},
        opt_state={"network": opt_state},
        ema=_averaged(config, state, {"params": params, **stats}),
    )
    return state, {"loss": loss, **terms}


def _terms(loss: ConfigDict, logits: jax.Array, batch: Batch, axis: Axis) -> dict[str, jax.Array]:
    """The unweighted terms by the names of their weights."""
    mask, weight = batch["mask"], batch["weight"]
    terms = {}
    if loss.cross_entropy:
        terms["cross_entropy"] = segmentation.cross_entropy(
            logits, mask, weight, axis.total, label_smoothing=loss.label_smoothing
        )
    if loss.dice:
        terms["dice"] = segmentation.dice(
            logits, mask, weight, axis.total, smooth=1e-5, squared=True, present_only=loss.dice_present_only
        )
    return terms


def _averaged(config: ConfigDict, state: TrainState, variables: PyTree) -> dict[str, PyTree]:
    """The running average of weights and batch statistics."""
    if not config.optim.ema:
        return {}
    return {"network": optim.ema_update(state.ema["network"], variables, state.step, config.optim.ema)}


def _check_axis(network: SegFace, state: TrainState, axis: Axis) -> None:
    """Batch statistics and stochastic depth belong to the global batch, which only jit sees."""
    whole = axis.total is WHOLE_BATCH.total
    if not whole and ("batch_stats" in state.stats["network"] or network.backbone.stochastic_depth):
        raise UserError(
            "this backbone has batch normalisation or stochastic depth, which look at the whole batch: "
            "set parallel.mode=jit (it runs on any number of devices), or a backbone without them"
        )


def _variables(config: ConfigDict, state: TrainState) -> dict[str, PyTree]:
    if config.optim.ema:
        return state.ema
    return {"network": {"params": state.params["network"], **state.stats["network"]}}


def _predict(network: SegFace, variables: dict[str, PyTree], image: jax.Array) -> Prediction:
    return Prediction(network.apply(variables["network"], normalise(image), train=False))
