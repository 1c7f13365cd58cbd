"""Arguments for the layers of a network that no network has to hand down."""

from contextlib import AbstractContextManager
from typing import Any

import flax.linen as nn


def called_with(kind: type[nn.Module], **arguments: Any) -> AbstractContextManager:
    """Return a context in which every layer of a class, wherever it is, gets these arguments in `__call__`."""

    def call(layer, args, kwargs, context):
        if isinstance(context.module, kind) and context.method_name == "__call__":
            kwargs = kwargs | arguments
        return layer(*args, **kwargs)

    return nn.intercept_methods(call)
