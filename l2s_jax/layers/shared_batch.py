"""Layers of a training pass that are functions of the whole batch, however many devices share it."""

from contextlib import AbstractContextManager

import flax.linen as nn

from l2s_jax.layers.called_with import called_with
from l2s_jax.types import Axis


class BatchLayer(nn.Module):
    """A layer whose `__call__` has an argument `axis`: that of the step, or `GLOBAL_VIEW` if nobody passes one."""


def shared_batch(axis: Axis) -> AbstractContextManager:
    """Return a context in which every `BatchLayer` is called with `axis`."""
    return called_with(BatchLayer, axis=axis)
