"""The networks in the pickles that NVIDIA publishes: their tensors, and the settings that decide what they compute.

TensorFlow (StyleGAN2, StyleGAN2-ADA): the tuple of G, D and Gs, G's moving average, or Gs alone. A network has
`variables`, pairs of a name and an array; `components`, further networks by name; and `static_kwargs`, its settings.
PyTorch (StyleGAN2-ADA): a dict with `G`, `D` and `G_ema`. A module has `_parameters`, `_buffers` and `_modules`, by
name.
"""

import pickle
from collections.abc import Mapping

import numpy as np

from l2s_jax.torch_weights.pickle_gate import MODULE, NETWORK
from l2s_jax.torch_weights.pickle_values import Array, Record, Tensor

TENSORFLOW, PYTORCH = ("G", "D", "Gs"), ("G", "D", "G_ema")
KWARGS = "static_kwargs"
SETTINGS = (
    "activation",
    "bias_gain",
    "architecture",
    "mapping_lrmul",
    "mapping_nonlinearity",
    "nonlinearity",
    "normalize_latents",
    "resample_kernel",
)
"""Attributes of modules and networks that are read beside their tensors."""

_MAX_PARTS = 20_000  # StyleGAN2 has 600; objects may refer to one another in ways that never end
_MAX_DEPTH = 16
_MAX_NAME = 200

Parts = dict[str, Tensor | np.ndarray]


def networks(content: object) -> Parts | None:
    """Find the networks in what a pickle holds.

    Args:
      content: as `pickle_gate.load` returns it.

    Returns:
      tensors by name, `G_ema.synthesis.b4.const` or `Gs.synthesis/4x4/Const/const` (the network, then its own name of
      the tensor); and settings, 0- or 1-D arrays, by `G_ema.mapping.fc0.activation` or
      `Gs.static_kwargs/mapping_lrmul`. None if there are no such networks.

    Raises:
      pickle.UnpicklingError: they are not as NVIDIA writes them.
    """
    if type(content) is Record:
        content = (content,)
    if type(content) is tuple and len(content) in (1, 3) and all(_is(each, NETWORK) for each in content):
        parts = _Parts()
        for name, network in zip(TENSORFLOW[-len(content) :], content, strict=True):
            parts.add_network(network, f"{name}.")
            parts.add_kwargs(network, f"{name}.{KWARGS}/")
        return parts.found
    if type(content) is dict:
        modules = {name: content[name] for name in PYTORCH if _is(content.get(name), MODULE)}
        parts = _Parts()
        for name, module in modules.items():
            parts.add_module(module, f"{name}.")
        return parts.found or None
    return None


def _is(value: object, kind: str) -> bool:
    return type(value) is Record and value.kind == kind and value.state is not None


class _Parts:
    """Collects named parts of objects that may refer to one another, up to a bound."""

    def __init__(self):
        self.found: Parts = {}
        self._parts = 0

    def add_network(self, network: Record, prefix: str, depth: int = 0) -> None:
        """Add the variables of a network and of its components."""
        self._descend(depth)
        variables = network.state.get("variables")
        if type(variables) is not list:
            raise pickle.UnpicklingError("a network has no list of variables")
        for pair in variables:
            match pair:
                case (str(name), Array(tensor=Tensor() as tensor)):
                    self._add(f"{prefix}{name}", tensor)
                case _:
                    raise pickle.UnpicklingError("a variable of a network is no named array")
        for name, component in self._named(network.state, "components").items():
            if not _is(component, NETWORK):
                raise pickle.UnpicklingError("a component of a network is no network")
            self.add_network(component, f"{prefix}{name}/", depth + 1)

    def add_module(self, module: Record, prefix: str, depth: int = 0) -> None:
        """Add the tensors and settings of a module and of those below it."""
        self._descend(depth)
        for group in ("_parameters", "_buffers"):
            for name, tensor in self._named(module.state, group).items():
                if type(tensor) is Tensor:
                    self._add(f"{prefix}{name}", tensor)
                elif tensor is not None:
                    raise pickle.UnpicklingError("a parameter of a module is no tensor")
        self.add_settings(module.state, prefix)
        for name, child in self._named(module.state, "_modules").items():
            if _is(child, MODULE):
                self.add_module(child, f"{prefix}{name}.", depth + 1)
            elif child is not None:
                raise pickle.UnpicklingError("a part of a module is no module")

    def add_settings(self, state: Mapping, prefix: str) -> None:
        """Add those attributes of `SETTINGS` that are numbers, texts or lists of numbers."""
        for name in SETTINGS:
            value = state.get(name)
            if type(value) is Array and value.tensor is not None:
                self._add(f"{prefix}{name}", value.tensor)
            elif _plain(value):
                self._add(f"{prefix}{name}", np.array(value))

    def add_kwargs(self, network: Record, prefix: str) -> None:
        """Add the settings of a network."""
        self.add_settings(self._named(network.state, KWARGS), prefix)

    def _named(self, state: Mapping, name: str) -> dict:
        """Return a dict of the state, whose members are counted."""
        found = state.get(name, {})
        if type(found) is not dict or not all(type(key) is str and len(key) <= _MAX_NAME for key in found):
            raise pickle.UnpicklingError(f"'{name}' of a network or module is no dict of names")
        self._count(len(found))
        return found

    def _descend(self, depth: int) -> None:
        self._count(1 if depth <= _MAX_DEPTH else _MAX_PARTS)

    def _count(self, parts: int) -> None:
        self._parts += parts
        if self._parts >= _MAX_PARTS:
            raise pickle.UnpicklingError("its networks are built of too many parts")

    def _add(self, name: str, part: Tensor | np.ndarray) -> None:
        if len(name) > _MAX_NAME or name in self.found:
            raise pickle.UnpicklingError("its networks have two tensors of one name, or a name that is too long")
        self._count(1)
        self.found[name] = part


def _plain(value: object) -> bool:
    if type(value) in (list, tuple) and len(value) <= _MAX_NAME:
        return all(type(each) in (int, float) and abs(each) < 2**53 for each in value)
    return (
        type(value) in (bool, float)
        or (type(value) is int and abs(value) < 2**53)
        or (type(value) is str and len(value) <= _MAX_NAME)
    )
