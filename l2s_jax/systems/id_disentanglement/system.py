"""Face Identity Disentanglement via Latent Space Mapping (Nitzan et al., SIGGRAPH Asia 2020, arXiv 2005.07728).

A mapper M takes the identity of one image and the attributes of another into the code of a frozen generator. Trained:
M, the attribute encoder and a discriminator of codes. With `encoders.steps`, the first batches train the identity and
landmark networks on drawn faces; from then on they are frozen.
"""

import functools
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from ml_collections import ConfigDict

from input_pipeline import labels
from l2s_jax.schema import require
from l2s_jax.systems.id_disentanglement import generators, networks, scores, training
from l2s_jax.systems.id_disentanglement.networks import ENCODERS, TRAINED, Networks
from l2s_jax.types import PyTree, System, TrainState, Transfer

ALWAYS_RIGHT = 0.98
"""Accuracy of the discriminator of codes above which the mapper cannot fool it at all."""
FAR = 3.0
"""Mean square of the numbers of a code, 1 for the generator's own, from which it is no code of the generator."""


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: the config is inconsistent.
    """
    require(
        config.encoders.steps < config.train.steps,
        f"encoders.steps={config.encoders.steps} leaves none of train.steps={config.train.steps} for the mapper: train "
        "longer",
    )
    built = networks.build(config)
    optimisers = training.optimisers(config)
    common = built, optimisers, config
    steps = {}
    if config.encoders.steps:
        steps |= {name: functools.partial(training.train_identity, *common, name) for name in ("identity", "evaluator")}
        steps["landmarks"] = functools.partial(training.train_landmarks, *common)
    if config.schedule.ridge_faces:
        steps["ridge"] = functools.partial(training.fit_ridge, built, config)
    for name in dict.fromkeys(_pair(config.schedule, number) for number in range(6 * config.schedule.cross_every)):
        steps[name] = functools.partial(
            training.train_mapper, *common, name.startswith("cross"), name.endswith("adversarial")
        )
    return System(
        name="id_disentanglement",
        label_set=labels.get(config.label_set),
        init=functools.partial(_init, built, optimisers, config),
        steps=steps,
        schedule=functools.partial(schedule, config),
        variables=functools.partial(_variables, config),
        transfer=Transfer(
            identity=functools.partial(built.embed),
            attributes=built.look,
            code=built.map,
            decode=built.draw,
        ),
        scorer=scores.scorer(built),
        watch=_watch,
        needs=("seed",),
    )


def schedule(config: ConfigDict, step: int) -> tuple[str, ...]:
    """Return the steps to run on batch number `step`.

    While the encoders are trained: the identity and landmark networks, and the second identity network on every
    `encoders.evaluator_every`-th batch. Then batch n of the mapper's: `cross` if n is a multiple of
    `schedule.cross_every`, else `same`, with the adversarial part if n is a multiple of `schedule.adversarial_every`.
    """
    number = step - config.encoders.steps
    if number < 0:
        more = ("evaluator",) if step % config.encoders.evaluator_every == 0 else ()
        return ("identity", "landmarks", *more)
    first = ("ridge",) if number == 0 and config.schedule.ridge_faces else ()
    return (*first, _pair(config.schedule, number))


def _pair(config: ConfigDict, number: int) -> str:
    name = "same" if number % config.cross_every else "cross"
    opposed = config.adversarial_every and number % config.adversarial_every == 0
    return f"{name}_adversarial" if opposed else name


def _init(built: Networks, optimisers: Mapping, config: ConfigDict, rng: jax.Array) -> TrainState:
    params_rng, step_key = jax.random.split(rng)
    keys = dict(zip(("generator", "codes", *ENCODERS, *TRAINED, "discriminator"), jax.random.split(params_rng, 8)))
    params = {name: built.init(keys[name], name) for name in TRAINED}
    if config.schedule.adversarial_every:
        params["discriminator"] = built.init(keys["discriminator"], "discriminator")
    encoders = {name: built.init(keys[name], name) for name in ENCODERS}
    if config.encoders.steps:
        encoders |= {name: training.centred(built, encoders[name], name, keys[name]) for name in ("identity", "evaluator")}
    generator = built.generator.init(keys["generator"])
    stats = {"generator": generator, "codes": generators.statistics(built.generator, generator, keys["codes"])}
    if config.schedule.ridge_faces:
        stats["ridge"] = {"kernel": jnp.zeros(training.ridge_size(built))}
    if config.encoders.steps:
        params |= encoders
    else:
        stats |= encoders
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        rng=step_key,
        params=params,
        stats=stats,
        # A copy, not an alias: the state is donated, and one buffer cannot be donated twice.
        ema={name: jax.tree.map(jnp.copy, params[name]) for name in TRAINED} if config.optim.ema else {},
        opt_state={
            name: optimiser.init({part: params[part] for part in training.owned(name)})
            for name, optimiser in optimisers.items()
        },
    )


def _variables(config: ConfigDict, state: TrainState) -> dict[str, PyTree]:
    known = training.everything(state) | (state.ema if config.optim.ema else {})
    return {name: known[name] for name in ("generator", "codes", "ridge", *ENCODERS, *TRAINED) if name in known}


def _watch(means: Mapping[str, float]) -> str:
    """Tell of codes that leave those of the generator, and of a discriminator of codes that is always right."""
    far = max((value for name, value in means.items() if name.endswith("/code_energy")), default=0.0)
    if far > FAR:
        return (
            f"the mapper's codes have {far:.1f} times the variance of the generator's own: the faces are no longer its; "
            "lower optim.mapper.learning_rate and optim.adversarial.learning_rate"
        )
    accuracy = max((value for name, value in means.items() if name.endswith("/d_accuracy")), default=0.0)
    if accuracy > ALWAYS_RIGHT:
        return (
            f"the discriminator of codes is right about {accuracy:.1%} of them: the mapper cannot learn from it; lower "
            "optim.discriminator.learning_rate or raise loss.r1"
        )
    return ""
