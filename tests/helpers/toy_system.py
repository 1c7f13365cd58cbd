"""A small system with everything that is hard to parallelise, its data, and its config.

Two networks that alternate, a lazy step with a gradient of a gradient, noise per example, losses that are nonlinear in
global sums (dice, cross-covariance), partners from other devices, padding rows, running statistics, an average.
"""

import collections
import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from input_pipeline import labels
from l2s_jax import config as configs
from l2s_jax import optim
from l2s_jax.types import Prediction, System, TrainState, example_rngs, step_rng

SIDE, HIDDEN = 4, 352  # 48 x 352 weights are enough for parameter sharding
PIXELS = SIDE * SIDE
TRACES = collections.Counter()
"""How often each step was traced: a step that is traced twice compiled twice."""


def toy_config(**train):
    config = configs.base()
    config.unlock()
    config.system = "toy"
    config.image_size = SIDE
    config.data.batch_size = 8
    config.model = {"noise": 0.1, "scale": 0.1}
    config.optim = {"auto": optim.default_config(), "critic": optim.for_lazy_regularization(optim.default_config(), 4)}
    config.train.update({"steps": 6, "log_every": 2, "eval_every": 0, "save_every": 0, "best_metric": "score"} | train)
    return config.lock()


@dataclasses.dataclass(frozen=True, eq=False)  # programs are compiled for each by itself
class Toy:
    """The functions of the system for one config."""

    config: ConfigDict

    @functools.cached_property
    def optimisers(self):
        options = {"accumulate": self.config.train.accumulate}
        return {name: optim.build(self.config.optim[name], **options) for name in ("auto", "critic")}

    @functools.cached_property
    def dtype(self):
        return jnp.dtype(self.config.precision.compute)

    def init(self, rng):
        shapes = {"encode": (3 * PIXELS, HIDDEN), "decode": (HIDDEN, PIXELS), "kernel": (PIXELS, 1)}
        ends = np.cumsum([math.prod(shape) for shape in shapes.values()])
        draws = jnp.split(self.config.model.scale * jax.random.normal(rng, (ends[-1],)), ends[:-1])
        weights = {name: draw.reshape(shapes[name]) for name, draw in zip(shapes, draws, strict=True)}
        auto, critic = {name: weights[name] for name in ("encode", "decode")}, {"kernel": weights["kernel"]}
        params = {"auto": auto, "critic": critic}
        return TrainState(
            step=jnp.int32(0),
            rng=rng,
            params=params,
            stats={"auto": {"mean": jnp.zeros(HIDDEN)}},
            ema={"auto": auto},
            opt_state={name: self.optimisers[name].init(params[name]) for name in params},
        )

    def encode(self, params, image):
        flat = image.reshape(image.shape[0], -1).astype(self.dtype)
        return jnp.tanh(flat @ params["encode"].astype(self.dtype)).astype(jnp.float32)

    def decode(self, params, hidden):
        return (hidden.astype(self.dtype) @ params["decode"].astype(self.dtype)).astype(jnp.float32)

    def update(self, state, name, gradients, **changes):
        own = gradients, state.opt_state[name], state.params[name]
        params, opt_state = optim.updated(self.optimisers[name], *own)
        params, opt_state = state.params | {name: params}, state.opt_state | {name: opt_state}
        return state.replace(params=params, opt_state=opt_state, **changes)

    def autoencoder(self, state, batch, axis):
        TRACES["autoencoder"] += 1
        weight, truth = batch["weight"], (batch["mask"] == 1).reshape(-1, PIXELS).astype(jnp.float32)
        keys = example_rngs(step_rng(state, "autoencoder"), axis, weight.shape[0])
        noise = jax.vmap(lambda key: jax.random.uniform(key, (HIDDEN,)))(keys)
        count = axis.psum(weight.sum())

        def loss_of(params):
            hidden = self.encode(params, batch["image"]) + self.config.model.noise * noise
            logits = self.decode(params, hidden)
            mean = axis.psum((weight[:, None] * hidden).sum(0)) / count
            probability = jax.nn.sigmoid(logits) * weight[:, None]
            overlap, size = axis.psum(((probability * truth).sum(), (probability + truth * weight[:, None]).sum()))
            centred = (hidden - mean[None])[:, :8]
            cross = axis.psum((centred[:, :4] * weight[:, None]).T @ centred[:, 4:]) / count
            partner = axis.local_rows(jnp.roll(axis.all_gather(hidden), 3, axis=0))
            swap = axis.psum((weight * jnp.square(self.decode(params, partner) - truth).mean(1)).sum()) / count
            adversary = axis.psum((weight * fooled(state.params["critic"], logits)).sum()) / count
            return 1 - 2 * overlap / size + 10 * jnp.square(cross).sum() + swap + 0.1 * adversary, mean

        (loss, mean), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.params["auto"])
        state = self.update(state, "auto", axis.pmean(gradients), stats={"auto": {"mean": mean}})
        average = optim.ema_update(
            state.ema["auto"], state.params["auto"], state.step, 0.99, self.config.train.accumulate
        )
        return state.replace(ema={"auto": average}), {"loss": loss}

    def critic(self, state, batch, axis):
        TRACES["critic"] += 1
        fake = self.decode(state.params["auto"], self.encode(state.params["auto"], batch["image"]))
        count = axis.psum(batch["weight"].sum())

        def loss_of(params):
            return axis.psum((batch["weight"] * fooled(params, -fake)).sum()) / count

        loss, gradients = jax.value_and_grad(loss_of)(state.params["critic"])
        return self.update(state, "critic", axis.pmean(gradients)), {"critic_loss": loss}

    def critic_r1(self, state, batch, axis):
        TRACES["critic_r1"] += 1
        real = (batch["mask"] == 1).reshape(-1, PIXELS).astype(jnp.float32)
        count = axis.psum(batch["weight"].sum())

        def loss_of(params):
            slopes = jax.grad(lambda masks: fooled(params, masks).sum())(real)
            return axis.psum((batch["weight"] * jnp.square(slopes).sum(1)).sum()) / count

        loss, gradients = jax.value_and_grad(loss_of)(state.params["critic"])
        return self.update(state, "critic", axis.pmean(gradients)), {"r1": loss}

    def predict(self, variables, image, landmarks=None):
        logits = self.decode(variables, self.encode(variables, image)).reshape(-1, SIDE, SIDE, 1)
        return Prediction(logits=jnp.concatenate([-logits, logits], axis=-1))


def fooled(critic, masks):
    return jax.nn.softplus(masks @ critic["kernel"])[:, 0]


def schedule(step):
    if step % 2:
        return ("autoencoder",)
    return ("critic", "critic_r1") if step % 4 == 0 else ("critic",)


def build(config) -> System:
    toy = Toy(config)
    return System(
        name="toy",
        label_set=labels.CELEBAMASK,
        init=toy.init,
        steps={"autoencoder": toy.autoencoder, "critic": toy.critic, "critic_r1": toy.critic_r1},
        schedule=schedule,
        variables=lambda state: state.ema["auto"],
        predict=toy.predict,
    )


class Batches:
    """A deterministic, checkpointable stream; the last row of every batch is padding."""

    def __init__(self, config, process_index=0, process_count=1):
        self._size, self._seed = config.data.batch_size, config.seed
        rows = self._size // process_count
        self._mine = slice(process_index * rows, (process_index + 1) * rows)
        self._next = 0
        self.closed = False

    def __iter__(self):
        return self

    def __next__(self):
        rng = np.random.default_rng([self._seed, self._next])
        self._next += 1
        weight = np.ones(self._size, np.float32)
        weight[-1] = 0
        batch = {
            "image": rng.uniform(-1, 1, (self._size, SIDE, SIDE, 3)).astype(np.float32),
            "mask": rng.integers(0, 2, (self._size, SIDE, SIDE), dtype=np.int32),
            "weight": weight,
        }
        return {name: values[self._mine] for name, values in batch.items()}

    def get_state(self):
        return {"next": self._next}

    def set_state(self, state):
        self._next = state["next"]

    def close(self):
        self.closed = True
