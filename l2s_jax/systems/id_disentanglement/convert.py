"""Weights of the PyTorch reimplementation: mapper and discriminator of codes, with layers `model.0`, `model.2` ..."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from input_pipeline.errors import require
from l2s_jax.models.identity_mapper import CodeDiscriminator, Mapper
from l2s_jax.torch_weights.state_dict import State, convert, layer

_LAYERS = ("model.0", "model.2", "model.4", "model.6")


def convert_mapper(state: State) -> tuple[Mapper, dict]:
    """Convert M, of any widths.

    Returns:
      the module, and its variables, float32 numpy.

    Raises:
      UserError: the tensors are not those of a mapper; the message names one.
    """
    widths, inputs = _widths(state, "a mapper")
    module = Mapper(outputs=widths[-1], widths=widths[:-1])
    return module, _converted(state, module, "mapper", (inputs - 1, 1))


def convert_discriminator(state: State) -> tuple[CodeDiscriminator, dict]:
    """Convert D_W, of any widths; returns and raises as `convert_mapper`."""
    widths, inputs = _widths(state, "a discriminator of codes")
    module = CodeDiscriminator(widths=widths[:-1])
    return module, _converted(state, module, "discriminator of codes", (inputs,))


def _widths(state: State, what: str) -> tuple[tuple[int, ...], int]:
    """Return the outputs of each layer, and the inputs of the first."""
    kernels = [state.get(f"{name}.weight") for name in _LAYERS]
    require(
        all(kernel is not None and kernel.ndim == 2 for kernel in kernels),
        f"these are not the weights of {what}: it has matrices {', '.join(f'{name}.weight' for name in _LAYERS)}",
    )
    return tuple(int(kernel.shape[0]) for kernel in kernels), int(kernels[0].shape[1])


def _converted(state: State, module: nn.Module, what: str, inputs: tuple[int, ...]) -> Mapping:
    vectors = [jax.ShapeDtypeStruct((1, width), jnp.float32) for width in inputs]
    target = jax.eval_shape(module.init, jax.random.key(0), *vectors)
    names = {name: f"dense_{number}" for number, name in enumerate(_LAYERS)}
    rules = (rule for name, ours in names.items() for rule in layer(name.replace(".", r"\."), ours))
    return convert(state, tuple(rules), (), target, what)
