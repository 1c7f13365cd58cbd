"""The training steps of the method: the mapper, the attribute encoder and the discriminator of codes."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from l2s_jax import optim
from l2s_jax.losses import adversarial
from l2s_jax.losses import identity as losses
from l2s_jax.losses.reductions import global_mean
from l2s_jax.systems.id_disentanglement.encoders import LAST
from l2s_jax.systems.id_disentanglement.networks import Networks
from l2s_jax.systems.id_disentanglement.optimisers import applied, everything, own_gradients
from l2s_jax.types import Axis, Batch, Metrics, PyTree, TrainState

JAW = 17
"""The first landmarks, which no loss of the mapper sees (published)."""


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

    gradients, metrics = own_gradients(terms, state, "mapper", axis)
    metrics |= {"grad_norm": optax.tree.norm(gradients)}
    moved = applied(built, "mapper", gradients, state, state)
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

    gradients, metrics = own_gradients(fooling, state, "adversarial", axis)
    moved = applied(built, "adversarial", gradients, moved, state)
    fake = code_of(everything(state))

    def judging(variables):
        logits = {name: networks.judge(variables, code) for name, code in (("real", real), ("fake", fake))}
        penalty = global_mean(adversarial.r1(lambda code: networks.judge(variables, code), real), weight, axis.psum)
        loss = adversarial.real_loss(logits["real"], weight, axis.psum)
        loss = loss + adversarial.fake_loss(logits["fake"], weight, axis.psum)
        accuracy = adversarial.accuracy((logits["real"], weight), [(logits["fake"], weight)], axis.psum)
        found = {"discriminator": loss, "r1": penalty, "d_accuracy": accuracy}
        return loss + config.loss.r1 / 2 * penalty, found

    gradients, found = own_gradients(judging, state, "discriminator", axis)
    return applied(built, "discriminator", gradients, moved, state), metrics | found


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
