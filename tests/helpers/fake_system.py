"""A real but tiny system for the tests of bundles, the API and the commands: a 1x1 convolution that knows colours."""

import contextlib
import sys
import types

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np
import pytest

from input_pipeline import labels
from input_pipeline.labels import LabelSet
from l2s_jax import bundle, config, systems
from l2s_jax.types import Code, Codec, Decoded, Prediction, System, TrainState

PACKAGE = "fake_package"
SIDE = 16
LABELS = labels.L2S_REGIONS


class Classify(nn.Module):
    """Logits of K classes from the colour of each pixel."""

    classes: int

    @nn.compact
    def __call__(self, image):
        return nn.Dense(self.classes, name="colour")(image)


def default_config():
    fields = ml_collections.ConfigDict()
    fields.model = ml_collections.ConfigDict({"codec": "all", "widths": (4, 8)})
    return fields


def build(conf) -> System:
    """`conf.model.codec`: `all` classes have a slice, only `regions` (not the background), or there is `none`.

    `styled` is `all` with a style for each class, its mean colour, in which it is painted: no other codec's pictures
    show more than one colour.
    """
    label_set = labels.get(conf.label_set)
    classes = len(label_set)
    styled = conf.model.codec == "styled"
    first = {"all": 0, "styled": 0, "regions": 1}.get(conf.model.codec)
    network = Classify(classes)

    def init(rng):
        params = network.init(rng, jnp.zeros((1, conf.image_size, conf.image_size, 3)))["params"]
        networks = {"parser": {"params": params}}
        return TrainState(jnp.int32(0), rng, networks, {}, networks, {"adam": jax.tree.map(jnp.zeros_like, params)})

    def logits(variables, image):
        return network.apply(variables["parser"], image)

    def encode(variables, image):
        all_logits = logits(variables, image)
        present = all_logits - all_logits[..., :1]  # a background without a slice has logit 0
        style = image.mean((1, 2))
        if styled:
            share = jax.nn.softmax(all_logits)
            style = jnp.einsum("bhwk,bhwc->bkc", share, image) / (share.sum((1, 2))[..., None] + 1e-6)
        return Code(jnp.moveaxis(present[..., first:, None], -2, 1), style)

    def decode(variables, code):
        present = jnp.moveaxis(code.structure[..., 0], 1, -1)
        present = jnp.pad(present, ((0, 0), (0, 0), (0, 0), (first, 0)))
        if styled:
            share = jax.nn.softmax(present)
            regions = jnp.einsum("bhwk,bkc->bkhwc", share, code.style + 1) - 1
            return Decoded(jnp.einsum("bhwk,bkc->bhwc", share, code.style), regions, present)
        image = jnp.broadcast_to(code.style[:, None, None], (*present.shape[:3], 3))
        regions = jnp.broadcast_to(image[:, None], (image.shape[0], classes - first, *image.shape[1:]))
        return Decoded(image, regions, present)

    def step(state, batch, axis):
        def loss(params):
            hot = jax.nn.one_hot(batch["mask"], classes)
            ce = -(hot * jax.nn.log_softmax(logits(params, batch["image"]))).sum()
            return axis.psum(ce) / axis.psum(jnp.float32(hot[..., 0].size))

        value, grads = jax.value_and_grad(loss)(state.params)
        params = jax.tree.map(lambda p, g: p - 1.0 * g, state.params, axis.pmean(grads))
        return state.replace(params=params, ema=params), {"loss": value}

    return System(
        name="fake",
        label_set=label_set,
        init=init,
        steps={"g": step, "r1": step},
        schedule=lambda n: ("g", "r1") if n % 16 == 0 else ("g",),
        variables=lambda state: state.ema,
        predict=lambda variables, image, landmarks=None: Prediction(logits(variables, image)),
        codec=None if first is None else Codec(encode, decode, tuple(range(first, classes))),
    )


def install(monkeypatch) -> None:
    """Make `fake` the registered system of a test."""
    parts = {
        "": {"__path__": []},
        ".system": {"build": build},
        ".config": {"default_config": default_config, "RANGES": {}},
    }
    for part, content in parts.items():
        module = types.ModuleType(f"{PACKAGE}{part}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    real = systems.packages
    monkeypatch.setattr(systems, "packages", lambda: real() | {"fake": PACKAGE})


@contextlib.contextmanager
def working_directory(root):
    """`root` as working and home directory, with `fake` installed and no other models."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch)
        patch.chdir(root)
        patch.setenv("HOME", str(root))
        patch.delenv("L2S_MODELS", raising=False)
        yield root


def fake_config(codec: str = "all", label_set: LabelSet = LABELS, side: int = SIDE):
    conf = config.base().unlock()
    conf.update(default_config())
    conf.system, conf.label_set, conf.image_size, conf.model.codec = "fake", label_set.name, side, codec
    return conf.lock()


def variables(label_set: LabelSet = LABELS):
    """Weights that find class k where the colour is the palette's colour k: the nearest colour, in closed form."""
    colours = label_set.palette[: len(label_set)].astype(np.float32) / 127.5 - 1
    sharpness = 50.0
    kernel, bias = 2 * sharpness * colours.T, -sharpness * (colours**2).sum(-1)
    return {"parser": {"params": {"colour": {"kernel": np.ascontiguousarray(kernel), "bias": bias}}}}


def meta(codec: str = "all", name: str = "tiny", label_set: LabelSet = LABELS, side: int = SIDE) -> bundle.Meta:
    return bundle.Meta(
        name=name,
        system="fake",
        config=fake_config(codec, label_set, side).to_dict(),
        label_set=label_set,
        preprocessing=bundle.Preprocessing(side),
        licence="Apache-2.0",
    )


def save(path, codec: str = "all", name: str = "tiny", label_set: LabelSet = LABELS, side: int = SIDE) -> bundle.Meta:
    return bundle.save(path, variables(label_set), meta(codec, name, label_set, side))


def painted(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture in palette colours and its ids: hair in the upper half, lips below, a background frame at the left."""
    ids = np.full((height, width), LABELS["lips"], np.uint8)
    ids[: height // 2] = LABELS["hair"]
    ids[:, : width // 4] = LABELS["background"]
    return LABELS.palette[ids], ids
