"""A sliced autoencoder as a system: state, training steps, schedule, codec, and the ways in which it segments.

A shared generator decodes every slice separately, and a region is where its slice's decoded matte is.
"""

import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.systems import adversary, consensus_term
from l2s_jax.systems.sliced import losses
from l2s_jax.systems.sliced.networks import Networks
from l2s_jax.types import Axis, Batch, Code, Codec, Metrics, Predict, Prediction, PyTree, TrainState, step_rng

OPTIMISED = {
    "encoder": ("encoder",),
    "generator": ("generator",),
    "discriminator": ("discriminator", "patch"),
}
"""Networks by optimiser."""
EXPORTED = ("encoder", "generator")


def functions(config: ConfigDict, networks: Networks) -> dict:
    """Return the arguments of `System` that all sliced autoencoders share.

    Raises:
      UserError: the config is inconsistent.
    """
    consensus_term.check(config)
    optimisers = _optimisers(config)
    steps = {"autoencode": functools.partial(_autoencode, networks, optimisers, config)}
    if config.schedule.discriminator_every:
        # Several times faster when the gradient is differentiated.
        folded = networks.lowered("folded", "discriminator", "patch")
        steps["discriminate"] = functools.partial(_discriminate, networks, optimisers, config)
        steps["r1"] = functools.partial(_regularise, folded, optimisers, config)
    inferring = for_inference(networks)
    return {
        "label_set": networks.label_set,
        "init": functools.partial(_init, networks, optimisers, config),
        "steps": steps,
        "schedule": functools.partial(schedule, config.schedule),
        "variables": functools.partial(_variables, config),
        "watch": adversary.watch(
            "discriminate",
            "raise loss.gan_reconstruction and loss.gan_mix, or lower optim.discriminator.learning_rate",
            "lower loss.r1 or raise optim.discriminator.learning_rate",
        ),
        "needs": ("image", "mask", *consensus_term.needs(config)),
        "codec": Codec(
            functools.partial(_encode, inferring),
            functools.partial(_decode, inferring),
            networks.classes,
            functools.partial(_untrained, inferring),
        ),
    }


def for_inference(networks: Networks) -> Networks:
    """Return the same networks with the fewest multiplications where nothing is differentiated."""
    return networks.lowered("direct", "generator")


def segmenters(networks: Networks) -> dict[str, Predict]:
    """Return the ways in which networks with a matte segment: by decoded slices, and by the light head."""
    inferring = for_inference(networks)
    return {"decodes": functools.partial(_by_decodes, inferring), "light": functools.partial(_by_light, inferring)}


def schedule(config: ConfigDict, step: int) -> tuple[str, ...]:
    """Return the steps to run on batch number `step`.

    Every `discriminator_every`-th batch trains the discriminators (2 = the published alternation); every `r1_every`-th
    of those also runs R1. The other batches train the autoencoder.
    """
    every = config.discriminator_every
    if not every or step % every:
        return ("autoencode",)
    return ("discriminate", "r1") if step // every % config.r1_every == 0 else ("discriminate",)


def _optimisers(config: ConfigDict) -> dict[str, optax.GradientTransformation]:
    every, accumulate = config.schedule.discriminator_every, config.train.accumulate
    judged = config.train.steps // every if every else 0
    updates = (config.train.steps - judged) // accumulate
    groups = {name: optim.with_total_steps(config.optim[name], updates) for name in ("encoder", "generator")}
    if every:
        own = optim.with_total_steps(config.optim.discriminator, judged // accumulate)
        groups["discriminator"] = optim.for_lazy_regularization(own, config.schedule.r1_every)
    return {name: optim.build(group, accumulate=accumulate) for name, group in groups.items()}


def _init(networks: Networks, optimisers: dict, config: ConfigDict, rng: jax.Array) -> TrainState:
    params_rng, step_key = jax.random.split(rng)
    params = networks.init(params_rng)
    exported = {name: value for name, value in params.items() if name in EXPORTED}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=step_key,
        params=params,
        stats=losses.queue(networks, config, params),
        # A copy, not an alias: the state is donated, and one buffer cannot be donated twice.
        ema=jax.tree.map(jnp.copy, exported) if config.optim.ema else {},
        opt_state={name: tx.init(_group(params, name)) for name, tx in optimisers.items()},
    )


def _group(params: dict[str, PyTree], group: str) -> dict[str, PyTree]:
    return {name: params[name] for name in OPTIMISED[group] if name in params}


def _autoencode(networks, optimisers, config, state: TrainState, batch: Batch, axis: Axis):
    def terms(trained):
        rng = step_rng(state, "autoencode")
        params = state.params | trained
        return losses.autoencoder_terms(networks, config, params, state.stats, batch, rng, axis)

    weights = consensus_term.weights(config.loss)
    if config.independence.ramp:
        weights["independence"] *= jnp.minimum(1.0, state.step / config.independence.ramp)
    state, metrics = _update(optimisers, ("encoder", "generator"), weights, terms, state, axis)
    if config.optim.ema:
        decay, accumulate = config.optim.ema, config.train.accumulate
        new = {
            name: optim.ema_update(ema, state.params[name], state.step, decay, accumulate)
            for name, ema in state.ema.items()
        }
        state = state.replace(ema=new)
    return state, metrics


def _discriminate(networks, optimisers, config, state: TrainState, batch: Batch, axis: Axis):
    def terms(trained):
        rng = step_rng(state, "discriminate")
        return losses.discriminator_terms(networks, config.loss, trained, state.params, batch, rng, axis), state.stats

    weights = consensus_term.weights(config.loss) | {"d_accuracy": 0.0}
    return _update(optimisers, ("discriminator",), weights, terms, state, axis)


def _regularise(networks, optimisers, config, state: TrainState, batch: Batch, axis: Axis):
    def terms(trained):
        rng = step_rng(state, "r1")
        penalties = losses.r1_terms(networks, config.loss, trained, batch, rng, axis)
        # Lazy regularisation: applied every n-th time with n times the weight (StyleGAN2).
        return {name: config.schedule.r1_every * value for name, value in penalties.items()}, state.stats

    return _update(optimisers, ("discriminator",), {}, terms, state, axis)


def _update(
    optimisers: Mapping[str, optax.GradientTransformation],
    groups: tuple[str, ...],
    weights: Mapping[str, float | jax.Array],
    terms: Callable[[PyTree], tuple[losses.Terms, PyTree]],
    state: TrainState,
    axis: Axis,
) -> tuple[TrainState, Metrics]:
    """Update the networks of `groups` once on the weighted sum of terms; a term without a weight has weight 1."""

    def objective(trained):
        values, stats = terms(trained)
        return sum(weights.get(name, 1.0) * value for name, value in values.items()), (values, stats)

    trained = {name: value for group in groups for name, value in _group(state.params, group).items()}
    loss, (metrics, stats), grads = optim.gradients(objective, trained, axis)
    params, opt_state = dict(state.params), dict(state.opt_state)
    for group in groups:
        own = _group(params, group)
        own, opt_state[group] = optim.updated(optimisers[group], _group(grads, group), opt_state[group], own)
        params |= own
    metrics = {"loss": loss, **metrics, "grad_norm": optax.tree.norm(grads)}
    return state.replace(params=params, stats=stats, opt_state=opt_state), metrics


def _variables(config: ConfigDict, state: TrainState) -> dict[str, PyTree]:
    return state.ema if config.optim.ema else {name: state.params[name] for name in EXPORTED if name in state.params}


def _encode(networks: Networks, variables: dict[str, PyTree], image: jax.Array) -> Code:
    encoded = networks.encode(variables, image)
    return Code(encoded.structure, encoded.style)


def _decode(networks: Networks, variables: dict[str, PyTree], code: Code):
    return networks.decode(variables, code.structure, code.style)


def _untrained(networks: Networks, variables: dict[str, PyTree], rng: jax.Array) -> dict[str, PyTree]:
    return variables | {"generator": networks.init(rng)["generator"]}


def _by_decodes(networks: Networks, variables, image: jax.Array, landmarks: jax.Array | None = None) -> Prediction:
    del landmarks  # this method does not align faces
    encoded = networks.encode(variables, image)
    return Prediction(networks.paint(variables, encoded.structure, encoded.style).logits)


def _by_light(networks: Networks, variables, image: jax.Array, landmarks: jax.Array | None = None) -> Prediction:
    del landmarks
    return Prediction(networks.encode(variables, image).light)
