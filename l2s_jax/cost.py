"""Cost estimates of a program from its trace alone: nothing is compiled and no array is allocated."""

import collections
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Jaxpr, JaxprEqn, Var

from l2s_jax.types import PyTree, System


class Cost(NamedTuple):
    """The cost of one call.

    Attributes:
      flops: floating-point operations, as XLA counts them before optimisation (a multiply-add is two).
      workspace: peak bytes beyond the inputs, see `workspace`.
    """

    flops: float
    workspace: int


def estimate(function: Callable, *inputs: PyTree) -> Cost:
    """Estimate the cost of `function(*inputs)`; inputs may be `jax.ShapeDtypeStruct`s."""
    return of_trace(jax.jit(function).trace(*inputs))


def of_trace(traced: jax.stages.Traced) -> Cost:
    """Estimate the cost of a traced program."""
    return Cost(traced.lower().cost_analysis().get("flops", 0.0), workspace(traced.jaxpr.jaxpr))


def abstract_batch(system: System, rows: int, side: int) -> dict[str, jax.ShapeDtypeStruct]:
    """Return the shapes of a batch as it travels (docs/architecture.md), with those optional arrays that are needed.

    Where only the data know how many landmarks and factors a face has, five and one stand for them.
    """
    shapes = {
        "image": ((rows, side, side, 3), jnp.uint8),
        "mask": ((rows, side, side), jnp.uint8),
        "blobs": ((rows, side, side), jnp.int16),
        "weight": ((rows,), jnp.float32),
        "landmarks": ((rows, system.points or 5, 2), jnp.float32),
        "seed": ((rows, 2), jnp.uint32),
        "identity": ((rows,), jnp.int32),
        "identity_factors": ((rows, 1), jnp.float32),
        "attribute_factors": ((rows, 1), jnp.float32),
    }
    return {name: jax.ShapeDtypeStruct(*shapes[name]) for name in ("weight", *system.needs)}


def frequencies(system: System, steps: int) -> dict[str, float]:
    """Return the fraction of batches that run each compiled step, over (the first million of) the schedule."""
    sample = range(min(steps, 1_000_000))
    counts = collections.Counter(name for number in sample for name in system.schedule(number))
    return {name: counts[name] / len(sample) for name in system.steps}


class Product(NamedTuple):
    """A convolution or a matrix product, with all its calls.

    Attributes:
      flops: floating-point operations; a multiply-add is two.
      size: bytes of its inputs and its result.
    """

    flops: float
    size: float


def product_flops(jaxpr: Jaxpr) -> float:
    """Count the floating-point operations of convolutions and matrix products (`products`).

    These are the model FLOPs of a utilisation, the same on every platform. (XLA's own analysis takes a second for a
    training step, and counts the body of every loop once.)
    """
    return float(sum(product.flops for product in products(jaxpr)))


def products(jaxpr: Jaxpr) -> list[Product]:
    """Return the convolutions and matrix products of a program in the order they were written.

    A scan counts as often as it runs, other loops once; of the branches of a condition, the costliest; zeros at borders
    count, those between pixels do not.
    """
    return [product for eqn in jaxpr.eqns for product in _products(eqn)]


def _products(eqn: JaxprEqn) -> list[Product]:
    size = sum(map(_bytes, _variables(eqn.invars))) + sum(map(_bytes, eqn.outvars))
    match eqn.primitive.name:
        case "dot_general":
            (summed, _), _ = eqn.params["dimension_numbers"]
            summed = math.prod(eqn.invars[0].aval.shape[axis] for axis in summed)
            return [Product(2 * eqn.outvars[0].aval.size * summed, size)]
        case "conv_general_dilated":
            kernel, outputs = eqn.invars[1].aval, eqn.params["dimension_numbers"].rhs_spec[0]
            window = kernel.size // kernel.shape[outputs]
            return [Product(2 * eqn.outvars[0].aval.size * window / math.prod(eqn.params["lhs_dilation"]), size)]
    inner = list(map(products, _subprograms(eqn.params)))
    match eqn.primitive.name:
        case "scan":
            length = eqn.params["length"]
            return [Product(length * flops, length * size) for body in inner for flops, size in body]
        case "cond":
            return max(inner, key=lambda branch: sum(product.flops for product in branch))
    return [product for program in inner for product in program]


def equations(jaxpr: Jaxpr) -> Iterator[JaxprEqn]:
    """Yield every equation of a program and of the programs inside it, each once, however often it runs."""
    for eqn in jaxpr.eqns:
        yield eqn
        for inner in _subprograms(eqn.params):
            yield from equations(inner)


def size_bytes(tree: PyTree) -> int:
    """Return the total size in bytes of the arrays (or shapes) of a tree."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def workspace(jaxpr: Jaxpr) -> int:
    """Estimate the peak bytes beyond the inputs when the equations run in the order they were written.

    Every value lives from its equation to its last use, inputs too (the state is donated). Fusion lowers the real
    number, padding and library scratch raise it: an estimate that tells whether a batch can fit.
    """
    last_use = {var: place for place, eqn in enumerate(jaxpr.eqns) for var in _variables(eqn.invars)}
    last_use |= dict.fromkeys(_variables(jaxpr.outvars), len(jaxpr.eqns))
    alive = {var: _bytes(var) for var in jaxpr.invars}
    inputs = total = peak = sum(alive.values())
    for place, eqn in enumerate(jaxpr.eqns):
        made = {var: 0 if eqn.primitive.name in _FREE else _bytes(var) for var in eqn.outvars}
        alive |= made
        total += sum(made.values())
        peak = max(peak, total + max(map(workspace, _subprograms(eqn.params)), default=0))
        for var in {*_variables(eqn.invars), *eqn.outvars}:
            if last_use.get(var, place) == place:
                total -= alive.pop(var, 0)
    return peak - inputs


_FREE = ("broadcast_in_dim", "iota")
"""Operations that every backend fuses into their consumers."""


def _variables(atoms: Iterable) -> list[Var]:
    return [atom for atom in atoms if isinstance(atom, Var)]


def _bytes(var: Var) -> int:
    return var.aval.size * var.aval.dtype.itemsize if hasattr(var.aval, "dtype") else 0


def _subprograms(params: Mapping) -> Iterator[Jaxpr]:
    """Yield the programs inside an equation: a called function, a loop body, the branches of a condition."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)
            if isinstance(inner, Jaxpr):
                yield inner
