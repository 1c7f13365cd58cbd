"""The programs of a system that are worth measuring, and random inputs for them."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import numpy as np

from l2s_jax import cost
from l2s_jax.types import PyTree, System, unpacked


class Program(NamedTuple):
    """A pure function of a trained model.

    Attributes:
      name: what it does.
      function: (variables, inputs) -> arrays.
      inputs: (images, seed) -> random inputs for so many images at a time.
    """

    name: str
    function: Callable[[PyTree, PyTree], PyTree]
    inputs: Callable[[int, int], PyTree]


def programs(system: System, size: int) -> list[Program]:
    """Return whatever a system has: parsing in every way, reconstruction, generation, transfer; else its scores."""

    def images(rows: int, seed: int) -> np.ndarray:
        return np.random.default_rng(seed).uniform(-1, 1, (rows, size, size, 3)).astype(np.float32)

    found = []
    if system.predict is not None:
        others = {name: way for name, way in system.segmenters.items() if way is not system.predict}
        ways = {"parse": system.predict} | {f"parse by {name}": way for name, way in others.items()}
        for name, way in ways.items():
            found.append(Program(name, lambda variables, image, way=way: way(variables, image).labels, images))
    if codec := system.codec:
        found.append(Program("reconstruct", lambda v, image: codec.decode(v, codec.encode(v, image)).image, images))
    if generator := system.generator:

        def draws(rows: int, seed: int) -> np.ndarray:
            return np.random.default_rng(seed).standard_normal((rows, generator.size), np.float32)

        found.append(Program("generate", lambda variables, z: generator.sample(variables, z, 1.0), draws))
    if transfer := system.transfer:

        def transferred(v, image):
            return transfer.decode(
                v, transfer.code(v, transfer.identity(v, image), transfer.attributes(v, image[::-1]))
            )

        found.append(Program("transfer", transferred, images))
    if not found:
        found.append(
            Program("score", system.scorer.collect, lambda rows, seed: unpacked(batch(system, rows, size, seed)))
        )
    return found


def batch(system: System, rows: int, size: int, seed: int) -> Mapping[str, np.ndarray]:
    """Return a random batch, as it travels to the devices, with the arrays that the system needs."""
    rng = np.random.default_rng(seed)
    most = {"image": 256, "mask": len(system.label_set), "blobs": 2, "identity": system.people or rows, "seed": 2**31}

    def draw(name: str, shape: jax.ShapeDtypeStruct) -> np.ndarray:
        if name == "weight":
            return np.ones(shape.shape, shape.dtype)
        if name in most:
            return rng.integers(0, most[name], shape.shape).astype(shape.dtype)
        low, high = (0, size) if name == "landmarks" else (-1, 1)
        return rng.uniform(low, high, shape.shape).astype(shape.dtype)

    return {name: draw(name, shape) for name, shape in cost.abstract_batch(system, rows, size).items()}
