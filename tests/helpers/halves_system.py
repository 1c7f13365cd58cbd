"""A system that tells persons from the rest by arithmetic, for exact answers.

A picture of 8 px is a person beside what they look like: four grey blocks in the left half are the identity, one number
in [-1, 1] each and together of length 1, four in the right half the attributes.
"""

import sys
import types

import jax.numpy as jnp
import ml_collections
import numpy as np
from PIL import Image

from input_pipeline import labels
from l2s_jax import bundle, config, systems
from l2s_jax.types import Generator, System, TrainState, Transfer

PACKAGE, SIDE = "halves_package", 8


def picture(identity, attributes, side: int = SIDE) -> np.ndarray:
    """Draw uint8 [side, side, 3] of two vectors of four numbers."""
    rows = np.stack([np.asarray(identity, np.float64), np.asarray(attributes, np.float64)], axis=1)
    blocks = np.repeat(np.repeat(rows, side // 4, axis=0), side // 2, axis=1)
    return np.repeat(np.rint((blocks + 1) * 127.5).astype(np.uint8)[..., None], 3, axis=2)


def person(degrees: float, plane: int = 1) -> np.ndarray:
    """Return the identity at an angle from the first axis, towards axis `plane`."""
    identity = np.zeros(4)
    identity[0], identity[plane] = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return identity


def read(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Read identity and attributes of a picture [H, W, 3] back, without scaling."""
    half = image.shape[1] // 2
    blocks = (image[..., 0].astype(np.float64) / 127.5 - 1).reshape(4, -1, image.shape[1])
    return blocks[..., :half].mean((1, 2)), blocks[..., half:].mean((1, 2))


def _blocks(half):
    return half.reshape(half.shape[0], 4, -1).mean(-1)


def _identity(variables, image):
    blocks = variables["scale"] * _blocks(image[:, :, : image.shape[2] // 2])
    return blocks / jnp.maximum(jnp.linalg.norm(blocks, axis=-1, keepdims=True), 0.1)  # grey is nobody


def _attributes(variables, image):
    return variables["scale"] * _blocks(image[:, :, image.shape[2] // 2 :])


def build(conf) -> System:
    """`conf.model.generator` gives it a generator, of persons without attributes."""
    side = conf.image_size

    def init(rng):
        params = {"scale": jnp.ones(())}
        return TrainState(jnp.int32(0), rng, params, {}, params, {})

    def code(variables, identity, attributes):
        return variables["scale"] * jnp.concatenate([identity, attributes], axis=-1)

    def decode(variables, code):
        halves = jnp.stack([code[:, :4], code[:, 4:]], axis=2) * variables["scale"]
        grey = jnp.repeat(jnp.repeat(halves, side // 4, axis=1), side // 2, axis=2)
        return jnp.repeat(grey[..., None], 3, axis=3)

    def sample(variables, z, truncation):
        identity = truncation * z / jnp.linalg.norm(z, axis=-1, keepdims=True)
        return decode(variables, code(variables, identity, jnp.zeros_like(identity)))

    return System(
        name="halves",
        label_set=labels.L2S_REGIONS,
        init=init,
        steps={"step": lambda state, batch, axis: (state, {})},
        schedule=lambda n: ("step",),
        variables=lambda state: state.ema,
        generator=Generator(sample, 4) if conf.model.generator else None,
        transfer=Transfer(_identity, _attributes, code, decode),
    )


def default_config():
    fields = ml_collections.ConfigDict()
    fields.model = ml_collections.ConfigDict({"generator": True})
    return fields


def install(monkeypatch) -> None:
    """Make `halves` a registered system of a test, beside those that are there."""
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
    monkeypatch.setattr(systems, "packages", lambda: real() | {"halves": PACKAGE})


def save(path, generator: bool = True, side: int = SIDE) -> bundle.Meta:
    """Save a model; `halves` must be installed."""
    conf = config.base().unlock()
    conf.update(default_config())
    conf.system, conf.label_set, conf.image_size = "halves", labels.L2S_REGIONS.name, side
    conf.model.generator = generator
    meta = bundle.Meta(
        name=path.name,
        system="halves",
        config=conf.lock().to_dict(),
        label_set=labels.L2S_REGIONS,
        preprocessing=bundle.Preprocessing(side),
        licence="Apache-2.0",
    )
    return bundle.save(path, {"scale": np.ones((), np.float32)}, meta)


def save_picture(path, identity, attributes, side: int = SIDE) -> None:
    """Save `picture` as PNG."""
    Image.fromarray(picture(identity, attributes, side)).save(path)
