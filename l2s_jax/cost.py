"""Cost estimates of a program from its trace alone: nothing is compiled and no array is allocated."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

import jax
from jax.extend.core import Jaxpr, Var

from l2s_jax.types import PyTree


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
    traced = jax.jit(function).trace(*inputs)
    return Cost(traced.lower().cost_analysis().get("flops", 0.0), workspace(traced.jaxpr.jaxpr))


def parameters(tree: PyTree) -> int:
    """Count the elements of all arrays (or shapes) of a tree."""
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


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
