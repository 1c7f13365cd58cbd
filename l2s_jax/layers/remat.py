"""Rematerialisation (Chen et al., arXiv 1604.06174): inner activations of blocks are computed again, not kept.

Between the passes a block keeps its inputs alone; the backward pass first applies it once more.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax


def block(method: Callable) -> Callable:
    """Mark a method of a module as a block, one that a network applies many times. By itself this changes nothing."""
    method.is_block = True
    return method


def rematerialised(function: Callable) -> Callable:
    """Return a function that applies every block under `flax.linen.remat`, with the same names, numbers and gradients.

    Args:
      function: calls modules, and may differentiate what they return.
    """

    def with_remat(*args, **options):
        inside = []

        def intercept(apply: Callable, args: tuple, options: dict, context: nn.module.InterceptorContext) -> Any:
            name = context.method_name
            if inside or not getattr(getattr(type(context.module), name, None), "is_block", False):
                return apply(*args, **options)
            leaves, structure = jax.tree.flatten((args, options))
            # Numbers, words and functions stay what they are.
            moving = [isinstance(leaf, jax.Array) for leaf in leaves]

            def again(module: nn.Module, *arrays: jax.Array) -> Any:
                rest = iter(arrays)
                own = [next(rest) if moves else leaf for moves, leaf in zip(moving, leaves, strict=True)]
                args, options = jax.tree.unflatten(structure, own)
                inside.append(name)
                try:
                    return getattr(module, name)(*args, **options)
                finally:
                    inside.pop()

            arrays = (leaf for moves, leaf in zip(moving, leaves, strict=True) if moves)
            return nn.remat(again)(context.module, *arrays)

        with nn.intercept_methods(intercept):
            return function(*args, **options)

    return with_remat
