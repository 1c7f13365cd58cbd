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
from input_pipeline.errors import require
from l2s_jax.models import recognition
from l2s_jax.models.face_renderer import LANDMARKS
from l2s_jax.systems.id_disentanglement import generators, initial, networks, ridge, scores, training
from l2s_jax.systems.id_disentanglement.encoders import centred, train_identity, train_landmarks
from l2s_jax.systems.id_disentanglement.networks import ENCODERS, TRAINED, Networks
from l2s_jax.systems.id_disentanglement.optimisers import everything, owned, phase_optimisers
from l2s_jax.types import Generator, PyTree, System, TrainState, Transfer

ALWAYS_RIGHT = 0.98
"""Accuracy of the discriminator of codes above which the mapper cannot fool it at all."""
FAR = 3.0
"""Mean square of the numbers of a code, 1 for the generator's own, from which it is no code of the generator."""


def build(config: ConfigDict) -> System:
    """Build the system of one config.

    Raises:
      UserError: the config is inconsistent.
    """
    _check(config)
    built = networks.build(config)
    optimisers = phase_optimisers(config)
    common, learns_from = (built, optimisers, config), initial.sources_of_all(config)
    steps = {}
    if config.encoders.steps:
        steps |= {name: functools.partial(train_identity, *common, name) for name in ("identity", "evaluator")}
        steps["landmarks"] = functools.partial(train_landmarks, *common)
        if config.model.attributes.from_landmarks:
            steps["start"] = training.start_attributes
    if config.schedule.ridge_faces:
        steps["ridge"] = functools.partial(ridge.fit_ridge, built, config)
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
        generator=Generator(functools.partial(_sample, built), built.generator.latent),
        transfer=Transfer(
            identity=functools.partial(built.embed),
            attributes=built.look,
            code=built.map,
            decode=built.draw,
        ),
        scorer=scores.scorer(built),
        watch=_watch,
        needs=("seed",),
        init_from=functools.partial(initial.with_models, config, built) if learns_from else None,
        learns_from=learns_from,
    )


def _check(config: ConfigDict) -> None:
    """Check the fields that must fit together."""
    trained, model = config.encoders.steps, config.model
    require(
        trained < config.train.steps,
        f"encoders.steps={trained} leaves none of train.steps={config.train.steps} for the mapper: train longer",
    )
    for name in ENCODERS:
        recognition.check(model[name], _seen(config, name), f"model.{name}")
    if trained:
        named = sorted(initial.sources(config).keys() & {*ENCODERS})
        require(not named, f"encoders.steps={trained} trains what encoders.{(named or [''])[0]} names: set one of them")
        small = all(model[name].network == "small" for name in ENCODERS) and model.landmarks.points == LANDMARKS
        require(
            small,
            f"encoders.steps={trained} trains networks of drawn faces: set model.*.network=small and "
            f"model.landmarks.points={LANDMARKS}, or encoders.steps=0 and name trained models",
        )
    else:
        require(
            config.encoders.identity and config.encoders.landmarks,
            "the mapper needs trained networks: name encoders.identity and encoders.landmarks, or set encoders.steps",
        )
    alike = model.landmarks.network == "small" and model.landmarks.width == model.attributes.width
    require(
        alike or not model.attributes.from_landmarks,
        "model.attributes.from_landmarks=true starts E_attr from E_lnd: give model.landmarks and model.attributes one "
        "width and model.landmarks.network=small, or set it to false",
    )
    drawn = config.generator.kind == "oracle"
    require(
        drawn != bool(config.generator.model),
        f"generator.kind={config.generator.kind} "
        + ("draws its faces: set generator.model=''" if drawn else "needs generator.model, a trained stylegan2"),
    )


def _seen(config: ConfigDict, name: str) -> int:
    """Return the side of the images that an encoder sees."""
    view = config.views["identity" if name == "evaluator" else name]
    return view.size or config.image_size - 2 * round((1 - view.crop) / 2 * config.image_size)


def schedule(config: ConfigDict, step: int) -> tuple[str, ...]:
    """Return the steps to run on batch number `step`.

    While the encoders are trained: the identity and landmark networks, and the second identity network on every
    `encoders.evaluator_every`-th batch. Then batch n of the mapper's: `cross` if n is a multiple of
    `schedule.cross_every`, else `same`, with the adversarial part if n is a multiple of `schedule.adversarial_every`.
    Before the first of them, E_attr gets its start and the baseline is fitted.
    """
    number = step - config.encoders.steps
    if number < 0:
        more = ("evaluator",) if step % config.encoders.evaluator_every == 0 else ()
        return ("identity", "landmarks", *more)
    if number:
        return (_pair(config.schedule, number),)
    start = ("start",) if config.encoders.steps and config.model.attributes.from_landmarks else ()
    ridge = ("ridge",) if config.schedule.ridge_faces else ()
    return (*start, *ridge, _pair(config.schedule, number))


def _pair(config: ConfigDict, number: int) -> str:
    name = "same" if number % config.cross_every else "cross"
    opposed = config.adversarial_every and number % config.adversarial_every == 0
    return f"{name}_adversarial" if opposed else name


def _init(built: Networks, optimisers: Mapping, config: ConfigDict, rng: jax.Array) -> TrainState:
    params_rng, step_key = jax.random.split(rng)
    names = ("generator", "codes", *ENCODERS, *TRAINED, "discriminator")
    keys = dict(zip(names, jax.random.split(params_rng, len(names)), strict=True))
    params = {name: built.init(keys[name], name) for name in TRAINED}
    if config.schedule.adversarial_every:
        params["discriminator"] = built.init(keys["discriminator"], "discriminator")
    encoders = {name: built.init(keys[name], name) for name in ENCODERS}
    if not (config.encoders.steps or config.encoders.evaluator):
        del encoders["evaluator"]
    if config.encoders.steps:
        for name in ("identity", "evaluator"):
            encoders[name] = centred(built, encoders[name], name, keys[name])
    generator = built.generator.init(keys["generator"])
    stats = {"generator": generator} if generator else {}  # the oracle has no variables
    stats |= {"codes": generators.statistics(built.generator, generator, keys["codes"])}
    if config.schedule.ridge_faces:
        stats["ridge"] = {"kernel": jnp.zeros(ridge.ridge_size(built))}
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
            name: optimiser.init({part: params[part] for part in owned(name)}) for name, optimiser in optimisers.items()
        },
    )


def _variables(config: ConfigDict, state: TrainState) -> dict[str, PyTree]:
    known = everything(state) | (state.ema if config.optim.ema else {})
    return {name: known[name] for name in ("generator", "codes", "ridge", *ENCODERS, *TRAINED) if name in known}


def _sample(built: Networks, variables: dict[str, PyTree], z: jax.Array, truncation: float) -> jax.Array:
    """Draw faces of random numbers [B, Z], codes moved towards their mean by `truncation`."""
    mean = variables["codes"]["mean"][None]
    return built.draw(variables, mean + truncation * (built.codes(variables, z) - mean))


def _watch(means: Mapping[str, float]) -> str:
    """Tell of codes that leave those of the generator, and of a discriminator of codes that is always right."""
    far = max((value for name, value in means.items() if name.endswith("/code_energy")), default=0.0)
    if far > FAR:
        return (
            f"the mapper's codes have {far:.1f} times the variance of the generator's own: it leaves its faces; lower "
            " optim.mapper.learning_rate and optim.adversarial.learning_rate"
        )
    accuracy = max((value for name, value in means.items() if name.endswith("/d_accuracy")), default=0.0)
    if accuracy > ALWAYS_RIGHT:
        return (
            f"the discriminator of codes is right about {accuracy:.1%} of them: the mapper cannot learn from it; lower "
            "optim.discriminator.learning_rate or raise loss.r1"
        )
    return ""
