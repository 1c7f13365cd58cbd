"""StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): faces from random numbers."""

import functools

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import require
from l2s_jax import optim
from l2s_jax.models.stylegan2 import config as networks_of
from l2s_jax.models.stylegan2.generator import Generator as GeneratorNetwork
from l2s_jax.models.stylegan2.synthesis import BUFFERS
from l2s_jax.systems import adversary
from l2s_jax.systems.stylegan2 import scores, steps
from l2s_jax.systems.stylegan2.initial import with_weights
from l2s_jax.systems.stylegan2.steps import DISCRIMINATOR, GENERATOR, PATH_LENGTH, R1, Networks
from l2s_jax.types import Generator, PyTree, System, TrainState


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: the config is inconsistent.
    """
    group, rows = config.model.discriminator.group, config.data.batch_size
    require(rows % group == 0, f"data.batch_size={rows} must be a multiple of model.discriminator.group={group}")
    size, dtype = config.image_size, jnp.dtype(config.precision.compute)
    networks = Networks(
        generator=networks_of.generator(config.model, size, dtype),
        discriminator=networks_of.discriminator(config.model, size, dtype),
        penalised=networks_of.discriminator(config.model, size, dtype, lowering="auto"),
    )
    inferring = networks_of.generator(config.model, size, dtype, lowering="direct")
    optimisers = _optimisers(config)
    functions = {GENERATOR: steps.generator_step, DISCRIMINATOR: steps.discriminator_step, R1: steps.r1_step}
    if config.loss.path_length:
        functions[PATH_LENGTH] = steps.path_length_step
    return System(
        name="stylegan2",
        label_set=labels.get(config.label_set),
        init=functools.partial(_init, networks, optimisers, bool(config.optim.ema)),
        steps={name: functools.partial(step, networks, optimisers, config) for name, step in functions.items()},
        schedule=functools.partial(schedule, config),
        variables=_variables,
        generator=Generator(functools.partial(_sample, inferring), config.model.code),
        scorer=scores.scorer(inferring, size),
        watch=adversary.watch(
            DISCRIMINATOR,
            "raise loss.r1, or lower optim.discriminator.learning_rate",
            "lower loss.r1, or raise optim.discriminator.learning_rate",
        ),
        needs=("image",),
        init_from=functools.partial(with_weights, config) if config.model.init_from else None,
        learns_from=(config.model.init_from,) if config.model.init_from else (),
    )


def schedule(config: ConfigDict, step: int) -> tuple[str, ...]:
    """Return the steps of batch number `step`: both networks learn from every batch, their penalties are lazy."""
    lengths = config.loss.path_length and step % config.schedule.path_length_every == 0
    slopes = step % config.schedule.r1_every == 0
    return (GENERATOR, *([PATH_LENGTH] if lengths else []), DISCRIMINATOR, *([R1] if slopes else []))


def _optimisers(config: ConfigDict) -> dict[str, optax.GradientTransformation]:
    accumulate = config.train.accumulate
    updates = config.train.steps // accumulate
    groups = {name: optim.with_total_steps(config.optim[name], updates) for name in (GENERATOR, DISCRIMINATOR)}
    if config.loss.path_length:
        groups[GENERATOR] = optim.for_lazy_regularization(groups[GENERATOR], config.schedule.path_length_every)
    groups[DISCRIMINATOR] = optim.for_lazy_regularization(groups[DISCRIMINATOR], config.schedule.r1_every)
    return {name: optim.build(group, accumulate=accumulate) for name, group in groups.items()}


def _init(networks: Networks, optimisers: steps.Optimisers, averages: bool, rng: jax.Array) -> TrainState:
    generator_rng, discriminator_rng, step_key = jax.random.split(rng, 3)
    size = networks.generator.synthesis.size
    variables = networks.generator.init(generator_rng, jnp.zeros((1, networks.generator.mapping.code)))
    images = jnp.zeros((networks.discriminator.group, size, size, 3), jnp.float32)
    params = {
        GENERATOR: variables["params"],
        DISCRIMINATOR: networks.discriminator.init(discriminator_rng, images)["params"],
    }
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=step_key,
        params=params,
        stats={GENERATOR: variables[BUFFERS], PATH_LENGTH: jnp.zeros((), jnp.float32)},
        # A copy, not an alias: the state is donated, and one buffer cannot be donated twice.
        ema={GENERATOR: jax.tree.map(jnp.copy, params[GENERATOR])} if averages else {},
        opt_state={name: tx.init(params[name]) for name, tx in optimisers.items()},
    )


def _variables(state: TrainState) -> dict[str, PyTree]:
    params = (state.ema or state.params)[GENERATOR]
    return {GENERATOR: steps.generator_variables(params, state.stats[GENERATOR])}


def _sample(generator: GeneratorNetwork, variables: dict[str, PyTree], z: jax.Array, truncation: float) -> jax.Array:
    return generator.apply(variables[GENERATOR], z, truncation)
