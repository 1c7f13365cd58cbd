"""Layers of a training pass that are functions of the whole batch, however many devices share it."""

from contextlib import AbstractContextManager

import flax.linen as nn

from l2s_jax.types import Axis


class BatchLayer(nn.Module):
    """A layer whose `__call__` has an argument `axis`: that of the step, or `GLOBAL_VIEW` if nobody passes one."""


def shared_batch(axis: Axis) -> AbstractContextManager:
    """Return a context in which every `BatchLayer` is called with `axis`, so that no network has to hand it down."""

    def call(layer, args, kwargs, context):
        if isinstance(context.module, BatchLayer) and context.method_name == "__call__":
            kwargs = kwargs | {"axis": axis}
        return layer(*args, **kwargs)

    return nn.intercept_methods(call)
