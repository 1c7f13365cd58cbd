"""The training steps: those that train the encoders on drawn faces, and those of the method.

Learning rates are functions of the BATCH number, never of an optimiser's own count of updates: the adversarial
optimisers make fewer of them, and with schedules of their own would end at a high rate while the other decays.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.losses import adversarial
from l2s_jax.losses import identity as losses
from l2s_jax.losses.reductions import global_mean
from l2s_jax.models import face_renderer
from l2s_jax.systems.id_disentanglement.networks import TRAINED, Networks, Variables
from l2s_jax.types import Axis, Batch, Metrics, PyTree, TrainState, example_rngs, step_rng

JAW = 17
"""The first landmarks, which no loss of the mapper sees (published)."""
PEOPLE = 1
"""Folded into the state's key: the key of the training people."""
FACES = 4
"""Faces drawn for each row of a batch that trains the landmark network."""
PEOPLE_A_ROW = 2
"""People drawn for each row of a batch that trains an identity network, two pictures of each."""
SHAPES = 2.0
"""Weight of the shapes of the parts, beside all landmarks, in the training of the landmark network."""
CENTRED = 128
"""Faces whose mean embedding `centred` takes off."""
LAST = "Dense_0"
"""The last layer of `SmallEncoder`."""
RIDGE = 1.0
"""Factor of the squared weights in the baseline of ridge regression."""
THUMBNAIL = 16
"""Side of the pictures that this baseline sees, pixels."""

Terms = dict[str, jax.Array]


def everything(state: TrainState) -> Variables:
    """Return the variables of all networks by name: trained now, trained earlier, or loaded."""
    return state.stats | state.params


class Optimiser:
    """An optimiser whose learning rate follows the batches of its phase.

    Attributes:
      init: parameters -> its state.
    """

    def __init__(self, config: ConfigDict, first: int, batches: int, accumulate: int = 1):
        """Build it for a phase of `batches` batches that begins with batch `first`.

        `accumulate` calls make an update (`optim.build`), with the rate at the last of them.

        Raises:
          UserError: contradictory numbers.
        """
        filled = optim.with_total_steps(config, batches)
        self._first, self._rate = first, optim.schedule(filled)
        steady = filled.copy_and_resolve_references()
        steady.update({"learning_rate": 1.0, "decay": "constant", "warmup_steps": 0, "milestones": ()})
        self._transformation = optim.build(steady, accumulate=accumulate)
        self.init = self._transformation.init

    def update(self, gradients: PyTree, state: PyTree, params: PyTree, step: jax.Array) -> tuple[PyTree, PyTree]:
        """Return (what to add to the parameters, the new state) on batch number `step`."""
        updates, state = self._transformation.update(gradients, state, params)
        rate = self._rate(step - self._first)
        return jax.tree.map(lambda update: rate * update, updates), state


def optimisers(config: ConfigDict) -> dict[str, Optimiser]:
    """Return the optimisers by name: of each encoder that is trained here, and of the method.

    Raises:
      UserError: contradictory numbers.
    """
    first, accumulate = config.encoders.steps, config.train.accumulate
    main = {"mapper": config.optim.mapper}
    if config.schedule.adversarial_every:
        main |= {"adversarial": config.optim.adversarial, "discriminator": config.optim.discriminator}
    built = {name: Optimiser(group, first, config.train.steps - first, accumulate) for name, group in main.items()}
    if first:
        encoders = Optimiser(config.optim.encoders, 0, first, accumulate)
        built |= dict.fromkeys(("identity", "evaluator", "landmarks"), encoders)
    return built


def owned(name: str) -> tuple[str, ...]:
    """Return the entries of `TrainState.params` that the optimiser called `name` changes."""
    if name in ("mapper", "adversarial"):
        return TRAINED
    return (name,)


def _gradients(terms: Callable[[Variables], tuple[jax.Array, Metrics]], state: TrainState, name: str, axis: Axis):
    """Return (gradients of what optimiser `name` owns, metrics) of `terms`, a function of all variables."""
    mine = {part: state.params[part] for part in owned(name)}
    _, metrics, gradients = optim.gradients(lambda own: terms(everything(state) | own), mine, axis)
    return gradients, metrics


def _applied(built: Mapping[str, Optimiser], name: str, gradients: PyTree, state: TrainState, point: TrainState):
    """Add the update of optimiser `name` for gradients taken at `point` to the state."""
    mine = {part: point.params[part] for part in owned(name)}
    updates, opt_state = built[name].update(gradients, point.opt_state[name], mine, point.step)
    moved = {part: optax.apply_updates(state.params[part], update) for part, update in updates.items()}
    return state.replace(params=state.params | moved, opt_state=state.opt_state | {name: opt_state})


# The encoders.


def centred(networks: Networks, variables: PyTree, name: str, rng: jax.Array) -> PyTree:
    """Return a new identity network whose mean output over drawn faces is 0, by its last bias (ours).

    Without that, all faces begin with almost the same embedding, and hundreds of batches pass until they part.
    """
    halves = _halves(jax.random.split(rng, CENTRED))
    mean = jnp.mean(getattr(networks, name).apply(variables, face_renderer.render(*halves, networks.side)), axis=0)
    last = variables["params"][LAST]
    return {"params": variables["params"] | {LAST: last | {"bias": last["bias"] - mean}}}


def train_identity(
    networks: Networks, built: Mapping, config: ConfigDict, name: str, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train the identity network called `name` to find each person's other picture among those of the batch.

    The people are a fixed set, numbers 0 to `encoders.people` - 1; both pictures have attributes of their own.
    """
    rows = example_rngs(step_rng(state, name), axis, batch["weight"].shape[0])
    rows = jax.vmap(lambda key: jax.random.split(key, PEOPLE_A_ROW))(rows).reshape(-1)
    weight = jnp.repeat(batch["weight"], PEOPLE_A_ROW)
    person = jax.vmap(lambda key: jax.random.randint(key, (), 0, config.encoders.people))(rows)
    crowd = jax.random.fold_in(state.rng, PEOPLE)
    identity = _normal(jax.vmap(jax.random.fold_in, in_axes=(None, 0))(crowd, person), face_renderer.IDENTITY)
    looks = jax.vmap(lambda key: jax.random.split(key))(rows)
    looks = _normal(jnp.concatenate((looks[:, 0], looks[:, 1])), face_renderer.ATTRIBUTES)
    images = face_renderer.render(jnp.tile(identity, (2, 1)), looks, networks.side)

    def terms(variables):
        both = networks.embed(variables, images, name)
        settings = config.encoders.margin, config.encoders.scale
        loss, accuracy = losses.contrastive_loss(*jnp.split(both, 2), *settings, weight, axis)
        return loss, {"loss": loss, "accuracy": accuracy}

    gradients, metrics = _gradients(terms, state, name, axis)
    return _applied(built, name, gradients, state, state), metrics


def train_landmarks(
    networks: Networks, built: Mapping, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Train the landmark network on drawn faces, whose landmarks are known."""
    rows = example_rngs(step_rng(state, "landmarks"), axis, batch["weight"].shape[0])
    keys = jax.vmap(lambda key: jax.random.split(key, FACES))(rows).reshape(-1)
    weight = jnp.repeat(batch["weight"], FACES)
    halves = _halves(keys)
    image = face_renderer.render(*halves, networks.side)
    truth = face_renderer.landmarks(*halves, networks.side)

    def terms(variables):
        found = networks.points(variables, image) * networks.side
        loss = global_mean(jnp.abs(found - truth), weight, axis.psum)
        loss += SHAPES * global_mean(jnp.abs(losses.shapes(found) - losses.shapes(truth)), weight, axis.psum)
        distance = global_mean(jnp.linalg.norm(found - truth, axis=-1), weight, axis.psum)
        return loss, {"loss": loss, "pixels": distance}

    gradients, metrics = _gradients(terms, state, "landmarks", axis)
    return _applied(built, "landmarks", gradients, state, state), metrics


def _halves(keys: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Draw the identity factors and the attribute factors of one face for each key."""
    factors = _normal(keys, face_renderer.IDENTITY + face_renderer.ATTRIBUTES)
    return factors[:, : len(face_renderer.IDENTITY)], factors[:, len(face_renderer.IDENTITY) :]


def _normal(keys: jax.Array, factors: tuple[str, ...]) -> jax.Array:
    return jax.vmap(lambda key: jax.random.normal(key, (len(factors),)))(keys)


# The method.


def train_mapper(
    networks: Networks,
    built: Mapping,
    config: ConfigDict,
    crossed: bool,
    opposed: bool,
    state: TrainState,
    batch: Batch,
    axis: Axis,
) -> tuple[TrainState, Metrics]:
    """Train M and E_attr once, and against D_W and D_W itself if `opposed`.

    All gradients are taken at the same point. The update of the other losses comes first, then the adversarial one.

    Args:
      networks, built, config: the system.
      crossed: identity image and attribute image are two faces; otherwise they are the same image, and the loss of
        reconstruction counts.
      opposed: with the adversarial part.
      state, batch, axis: as for every step.
    """
    weight, known = batch["weight"], everything(state)
    latents = networks.latents(batch["seed"])
    wanted = (latents.attributes, latents.identity) if crossed else (latents.attributes,)
    images = jnp.split(networks.draw(known, networks.codes(known, jnp.concatenate(wanted))), len(wanted))
    seen, person = images[0], images[-1]
    identity = networks.embed(known, person)
    points = networks.points(known, seen)
    mask = losses.pixel_mask(networks.side, config.loss.pixels)
    first = 0 if config.loss.jaw else JAW

    def code_of(variables):
        return networks.map(variables, identity, networks.look(variables, seen))

    def terms(variables):
        code = code_of(variables)
        output = networks.draw(variables, code)
        values = {
            "identity": losses.identity_loss(
                networks.embed(variables, output), identity, config.loss.identity_kind, weight, axis.psum
            ),
            "landmarks": losses.landmark_loss(
                networks.points(variables, output)[:, first:], points[:, first:], weight, axis.psum
            ),
        }
        if config.loss.shapes:
            own, other = (losses.shapes(each)[:, JAW:] for each in (networks.points(variables, output), points))
            values["shapes"] = losses.landmark_loss(own, other, weight, axis.psum)
        if not crossed:
            values["reconstruction"] = losses.reconstruction_loss(
                output, seen, weight, axis.psum, alpha=config.loss.alpha, mask=mask, summed=config.loss.l1_summed
            )
        energy = jnp.mean(jnp.square(networks.standardised(variables, code)), axis=-1)
        loss = sum(config.loss[name] * value for name, value in values.items())
        return loss, {"loss": loss, **values, "code_energy": global_mean(energy, weight, axis.psum)}

    gradients, metrics = _gradients(terms, state, "mapper", axis)
    metrics |= {"grad_norm": optax.tree.norm(gradients)}
    moved = _applied(built, "mapper", gradients, state, state)
    if opposed:
        moved, more = _oppose(networks, built, config, code_of, latents.real, state, moved, weight, axis)
        metrics |= more
    if config.optim.ema:
        age, decay = state.step - config.encoders.steps, config.optim.ema
        average = {
            name: optim.ema_update(ema, moved.params[name], age, decay, config.train.accumulate)
            for name, ema in state.ema.items()
        }
        moved = moved.replace(ema=average)
    return moved, metrics


def _oppose(networks, built, config, code_of, real_latents, state, moved, weight, axis):
    """Add the updates of M and E_attr against D_W, and of D_W, both with gradients at `state`, to the state `moved`."""
    real = networks.codes(everything(state), real_latents)

    def fooling(variables):
        loss = adversarial.generator_loss(networks.judge(variables, code_of(variables)), weight, axis.psum)
        return config.loss.adversarial * loss, {"adversarial": loss}

    gradients, metrics = _gradients(fooling, state, "adversarial", axis)
    moved = _applied(built, "adversarial", gradients, moved, state)
    fake = code_of(everything(state))

    def judging(variables):
        logits = {name: networks.judge(variables, code) for name, code in (("real", real), ("fake", fake))}
        penalty = global_mean(adversarial.r1(lambda code: networks.judge(variables, code), real), weight, axis.psum)
        loss = adversarial.real_loss(logits["real"], weight, axis.psum)
        loss = loss + adversarial.fake_loss(logits["fake"], weight, axis.psum)
        accuracy = adversarial.accuracy((logits["real"], weight), [(logits["fake"], weight)], axis.psum)
        found = {"discriminator": loss, "r1": penalty, "d_accuracy": accuracy}
        return loss + config.loss.r1 / 2 * penalty, found

    gradients, found = _gradients(judging, state, "discriminator", axis)
    return _applied(built, "discriminator", gradients, moved, state), metrics | found


def start_attributes(state: TrainState, batch: Batch, axis: Axis) -> tuple[TrainState, Metrics]:
    """Start E_attr from the convolutions of E_lnd, which know where everything is (published: from ImageNet's)."""
    del batch, axis
    return with_landmark_trunk(state), {}


def with_landmark_trunk(state: TrainState) -> TrainState:
    """Return the state in which E_attr, and its running average, have the layers of E_lnd except for the last one."""
    trunk = {name: layer for name, layer in everything(state)["landmarks"]["params"].items() if name != LAST}

    def started(own: PyTree) -> PyTree:
        shapes = own["params"]["shapes"] | jax.tree.map(jnp.copy, trunk)
        return {"params": own["params"] | {"shapes": shapes}}

    params = state.params | {"attributes": started(state.params["attributes"])}
    ema = state.ema | {"attributes": started(state.ema["attributes"])} if state.ema else {}
    return state.replace(params=params, ema=ema)


# The baseline.


def fit_ridge(
    networks: Networks, config: ConfigDict, state: TrainState, batch: Batch, axis: Axis
) -> tuple[TrainState, Metrics]:
    """Fit the code of a face linearly to its own identity and a thumbnail of it, on faces of this step's own."""
    del batch, axis  # every device fits the same faces
    known, size = everything(state), 64
    keys = jax.random.split(step_rng(state, "ridge"), max(1, config.schedule.ridge_faces // size))

    def some(key):
        code = networks.codes(known, jax.random.normal(key, (size, networks.generator.latent)))
        image = networks.draw(known, code)
        return ridge_features(networks.embed(known, image), image), code

    features, codes = (x.reshape(-1, x.shape[-1]) for x in jax.lax.map(some, keys))
    gram = features.T @ features + RIDGE * jnp.eye(features.shape[1])
    return state.replace(stats=state.stats | {"ridge": {"kernel": jnp.linalg.solve(gram, features.T @ codes)}}), {}


def ridge_features(identity: jax.Array, image: jax.Array) -> jax.Array:
    """Return what ridge regression sees, [B, F]: an identity, a thumbnail of the attribute image, and 1."""
    small = jax.image.resize(image, (len(image), THUMBNAIL, THUMBNAIL, 3), "linear").reshape(len(image), -1)
    return jnp.concatenate((identity, small, jnp.ones((len(image), 1))), axis=-1)


def ridge_size(networks: Networks) -> tuple[int, int]:
    """Return the shape of the fitted matrix."""
    return networks.identity.outputs + 3 * THUMBNAIL**2 + 1, networks.generator.width
