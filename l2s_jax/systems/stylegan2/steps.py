"""The training steps of StyleGAN2: generator, path length, discriminator, R1; each with its loss over the global batch.

All randomness is per image (`example_rngs`), so that an image does not depend on the device that draws it.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from input_pipeline.errors import require
from l2s_jax import optim
from l2s_jax.losses import adversarial
from l2s_jax.losses.path_length import path_length_penalty, path_lengths
from l2s_jax.losses.reductions import global_mean, safe_divide
from l2s_jax.models.discriminator import Discriminator
from l2s_jax.models.stylegan2.generator import Generator
from l2s_jax.models.stylegan2.synthesis import BUFFERS
from l2s_jax.types import Axis, Batch, Metrics, PyTree, TrainState, example_rngs, step_rng

GENERATOR, DISCRIMINATOR = "generator", "discriminator"
"""Keys of the networks and of their optimisers in the state, and names of the steps that train them."""
PATH_LENGTH, R1 = "path_length", "r1"
"""Names of the two lazy regularisation steps; `stats[PATH_LENGTH]` is the running mean length, float32 scalar."""

Optimisers = dict[str, optax.GradientTransformation]


class Networks(NamedTuple):
    """The two networks.

    Attributes:
      generator: `Generator`.
      discriminator: as the discriminator's and the generator's steps use it.
      penalised: the same for R1, which differentiates its gradient.
    """

    generator: Generator
    discriminator: Discriminator
    penalised: Discriminator


class Latents(NamedTuple):
    """The random numbers of images.

    Attributes:
      first: float32 [B, W], the codes of the coarse layers.
      all: float32 [B, L, W], the codes of every layer.
      noise: typed keys [B] of the pixel noise.
    """

    first: jax.Array
    all: jax.Array
    noise: jax.Array


def generator_variables(params: PyTree, stats: PyTree) -> PyTree:
    """Return the generator's variables from its parameters and its buffers."""
    return {"params": params, BUFFERS: stats}


def draw_latents(generator: Generator, variables: PyTree, rngs: jax.Array, mixing: float) -> Latents:
    """Draw codes and noise of images, one for each key; z is drawn from N(0, I), of the length of w.

    With style mixing (arXiv 1812.04948, section 3.1), the layers from a random one on have the code of a second z.

    Args:
      generator, variables: the network.
      rngs: typed keys [B].
      mixing: share of images whose styles are mixed. Each image draws its own layer (ours; published: one a batch).
    """
    size, layers = generator.mapping.code, generator.synthesis.layers
    keys = jax.vmap(lambda key: jax.random.split(key, 3))(rngs)
    z = jax.vmap(lambda key: jax.random.normal(key, (2, size)))(keys[:, 0])
    w = generator.apply(variables, z.reshape(-1, size), method="codes").reshape(-1, 2, size)

    def crossover(key: jax.Array) -> jax.Array:
        mixed, layer = jax.random.split(key)
        return jnp.where(jax.random.bernoulli(mixed, mixing), jax.random.randint(layer, (), 1, layers), layers)

    coarse = jnp.arange(layers)[None] < jax.vmap(crossover)(keys[:, 1])[:, None]
    return Latents(w[:, 0], jnp.where(coarse[:, :, None], w[:, :1], w[:, 1:]), keys[:, 2])


def generate(
    networks: Networks, config: ConfigDict, state: TrainState, rngs: jax.Array, params: PyTree
) -> tuple[jax.Array, Latents]:
    """Return images [B, R, R, 3] of the generator with `params`, one for each of the keys [B], and their latents."""
    variables = generator_variables(params, state.stats[GENERATOR])
    latents = draw_latents(networks.generator, variables, rngs, config.latents.mixing)
    return networks.generator.apply(variables, latents.all, latents.noise, method="images"), latents


def _rngs(state: TrainState, batch: Batch, axis: Axis, step: str) -> jax.Array:
    return example_rngs(step_rng(state, step), axis, batch["weight"].shape[0])


def _logits(network: Discriminator, params: PyTree, weight: jax.Array, *images: jax.Array) -> list[jax.Array]:
    """Judge sets of images [B, R, R, 3] with one call -> logits [B] of each set.

    Raises:
      UserError: B does not divide into the groups of the minibatch deviation, which would mix sets or devices.
    """
    rows, group = weight.shape[0], network.group
    require(
        rows % group == 0,
        f"{rows} images on a device do not divide into groups of model.discriminator.group={group}: make "
        f"data.batch_size a multiple of {group} for each device, or group 1",
    )
    weights = jnp.concatenate([weight] * len(images))
    return jnp.split(network.apply({"params": params}, jnp.concatenate(images), weight=weights), len(images))


def generator_step(
    networks: Networks, optimisers: Optimisers, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train mapping and synthesis to fool the discriminator; update the mean code and the running average."""
    weight, judge = batch["weight"], state.params[DISCRIMINATOR]
    rngs = _rngs(state, batch, axis, GENERATOR)

    def objective(params):
        image, latents = generate(networks, config, state, rngs, params)
        (logits,) = _logits(networks.discriminator, judge, weight, image)
        return adversarial.generator_loss(logits, weight, axis.psum), jax.lax.stop_gradient(latents.first)

    state, loss, first, norm = _update(optimisers, GENERATOR, objective, state, axis)
    total, count = axis.psum((jnp.sum(weight[:, None] * first, axis=0), jnp.sum(weight)))
    buffers = state.stats[GENERATOR]
    kept = config.latents.mean_decay
    mean = kept * buffers["w_avg"] + (1 - kept) * safe_divide(total, count)
    state = state.replace(stats=state.stats | {GENERATOR: buffers | {"w_avg": mean}})
    if config.optim.ema:
        own, decay = state.params[GENERATOR], config.optim.ema
        average = optim.ema_update(state.ema[GENERATOR], own, state.step, decay, config.train.accumulate)
        state = state.replace(ema={GENERATOR: average})
    return state, {"loss": loss, "grad_norm": norm}


def path_length_step(
    networks: Networks, optimisers: Optimisers, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Regularise the generator's path lengths, on one row of `schedule.path_length_shrink`."""
    shrink = config.schedule.path_length_shrink
    rows = batch["weight"].shape[0]
    require(
        rows % shrink == 0,
        f"{rows} images on a device are no multiple of schedule.path_length_shrink={shrink}: set it to 1, or a larger "
        "data.batch_size",
    )
    # Every n-th row of the global batch, whichever device has it: a device's rows begin at a multiple of n.
    weight, rngs = batch["weight"][::shrink], _rngs(state, batch, axis, PATH_LENGTH)[::shrink]
    generator, buffers = networks.generator, state.stats[GENERATOR]
    side = generator.synthesis.size
    projected = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 1), (side, side, 3)))(rngs)

    def objective(params):
        variables = generator_variables(params, buffers)
        latents = draw_latents(generator, variables, rngs, config.latents.mixing)

        def synthesize(codes):
            return generator.apply(variables, codes, latents.noise, method="images")

        lengths = path_lengths(synthesize, latents.all, projected)
        decay = config.loss.path_length_decay
        penalty, mean = path_length_penalty(lengths, weight, state.stats[PATH_LENGTH], decay, axis.psum)
        # Lazy regularisation: applied every n-th time with n times the weight.
        return config.schedule.path_length_every * config.loss.path_length * penalty, (penalty, mean)

    state, loss, (penalty, mean), norm = _update(optimisers, GENERATOR, objective, state, axis)
    state = state.replace(stats=state.stats | {PATH_LENGTH: mean})
    return state, {"loss": loss, "penalty": penalty, "mean_length": mean, "grad_norm": norm}


def discriminator_step(
    networks: Networks, optimisers: Optimisers, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train the discriminator to tell the batch from generated images.

    `d_accuracy` is no loss: the share of images that it takes for what they are, 0.5 for a blind one.
    """
    real, weight = batch["image"], batch["weight"]
    rngs = _rngs(state, batch, axis, DISCRIMINATOR)
    fake, _ = generate(networks, config, state, rngs, state.params[GENERATOR])

    def objective(params):
        reals, fakes = _logits(networks.discriminator, params, weight, real, fake)
        terms = {
            "d_real": adversarial.real_loss(reals, weight, axis.psum),
            "d_fake": adversarial.fake_loss(fakes, weight, axis.psum),
        }
        accuracy = adversarial.accuracy((reals, weight), ((fakes, weight),), axis.psum)
        return sum(terms.values()), terms | {"d_accuracy": accuracy}

    state, loss, metrics, norm = _update(optimisers, DISCRIMINATOR, objective, state, axis)
    return state, {"loss": loss, **metrics, "grad_norm": norm}


def r1_step(
    networks: Networks, optimisers: Optimisers, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Penalise the discriminator's slope at real images.

    As published, the slope is that of the sum of all logits: through the minibatch deviation, an image's own includes
    what it changes in the logits of its group.
    """
    weight = batch["weight"]

    def objective(params):
        def judge(image):
            # A padded row has no logit of its own: its slope must not reach the others through the sum.
            return weight * _logits(networks.penalised, params, weight, image)[0]

        penalty = global_mean(adversarial.r1(judge, batch["image"]), weight, axis.psum)
        return config.schedule.r1_every * config.loss.r1 / 2 * penalty, penalty

    state, loss, penalty, norm = _update(optimisers, DISCRIMINATOR, objective, state, axis)
    return state, {"loss": loss, "penalty": penalty, "grad_norm": norm}


def _update(
    optimisers: Optimisers,
    name: str,
    objective: optim.Objective,
    state: TrainState,
    axis: Axis,
) -> tuple[TrainState, jax.Array, PyTree, jax.Array]:
    """Update one network once; return the state, the loss, what else `objective` returned, the norm of the gradient."""
    loss, more, grads = optim.gradients(objective, state.params[name], axis)
    params, opt_state = optim.updated(optimisers[name], grads, state.opt_state[name], state.params[name])
    state = state.replace(params=state.params | {name: params}, opt_state=state.opt_state | {name: opt_state})
    return state, loss, more, optax.tree.norm(grads)
