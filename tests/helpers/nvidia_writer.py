"""Writes the pickles of NVIDIA's networks without its code: the same objects, by the same pickler."""

import dataclasses
import pickle
import sys
from collections import OrderedDict

import numpy as np

from tests.helpers import torch_writer
from tests.helpers.torch_writer import Parameter, function, modules, tensor

RECONSTRUCT = "torch_utils.persistence._reconstruct_persistent_obj"
SOURCE = "raise SystemExit('the source of a class must never run')"


class EasyDict(dict):
    __module__ = "dnnlib.util"


class Network:
    """A network for TensorFlow."""

    __module__ = "dnnlib.tflib.network"

    def __init__(self, variables=(), source=SOURCE, **state):
        """`variables`: {name: array}; `state`: components, static_kwargs."""
        self._state = {
            "version": 4,
            "name": "G",
            "static_kwargs": {},
            "components": {},
            "build_module_src": source,
            "build_func_name": "G_main",
            "variables": [(name, _run(value)) for name, value in dict(variables).items()],
        } | state

    def __getstate__(self):
        return self._state


def _run(value):
    """What a session returns: a number for a variable without axes."""
    return value[()] if isinstance(value, np.ndarray) else value


@dataclasses.dataclass(eq=False)
class Module:
    """A persistent module for PyTorch."""

    parameters: dict = dataclasses.field(default_factory=dict)
    buffers: dict = dataclasses.field(default_factory=dict)
    modules: dict = dataclasses.field(default_factory=dict)
    attributes: dict = dataclasses.field(default_factory=dict)
    source: str = SOURCE

    def __reduce_ex__(self, protocol):
        state = {
            "training": False,
            "_parameters": OrderedDict({name: _parameter(value) for name, value in self.parameters.items()}),
            "_buffers": OrderedDict({name: _tensor(value) for name, value in self.buffers.items()}),
            "_non_persistent_buffers_set": set(),
            "_backward_hooks": OrderedDict(),
            "_modules": OrderedDict(self.modules),
            "_init_args": (),
            "_init_kwargs": EasyDict(gain=np.sqrt(np.float64(2))),
        }
        meta = {"type": "class", "version": 6, "module_src": self.source, "class_name": "Module"}
        meta["state"] = state | self.attributes
        return sys.modules["torch_utils.persistence"]._reconstruct_persistent_obj, (meta,), None


def _tensor(value):
    return tensor(value) if isinstance(value, np.ndarray | np.generic) else value


def _parameter(value):
    return Parameter(_tensor(value)) if isinstance(value, np.ndarray | np.generic) else value


def tree(state, prefix=""):
    """Module of the tensors {dotted name: array}; those named as NVIDIA's buffers are buffers."""
    own = {name: value for name, value in state.items() if "." not in name}
    children = OrderedDict()
    for name, value in state.items():
        if "." in name:
            child, _, rest = name.partition(".")
            children.setdefault(child, {})[rest] = value
    buffers = {name: own.pop(name) for name in ("w_avg", "noise_const", "resample_filter") if name in own}
    settings = {name: own.pop(name) for name in ("activation", "bias_gain", "architecture") if name in own}
    return Module(own, buffers, {name: tree(rest) for name, rest in children.items()}, settings)


def dumps(content, protocol=4):
    """`pickle.dumps(content)` where NVIDIA's code and torch are imported."""
    names = {
        "dnnlib.util.EasyDict": EasyDict,
        "dnnlib.tflib.network.Network": Network,
        RECONSTRUCT: function(RECONSTRUCT),
    }
    with torch_writer.torch(), modules(names):
        return pickle.dumps(content, protocol)


def ada(state, **networks):
    """What a training of StyleGAN2-ADA for PyTorch leaves: `state` is that of G_ema; `networks` are the others."""
    return {"training_set_kwargs": EasyDict(resolution=8), **networks, "G_ema": tree(state), "augment_pipe": None}


def gs(state, **settings):
    """Network for TensorFlow of {name: array}; those of its two components are below `mapping/` and `synthesis/`."""
    parts = ("mapping", "synthesis")
    below = {
        part: Network({n.removeprefix(f"{part}/"): v for n, v in state.items() if n.startswith(f"{part}/")})
        for part in parts
    }
    own = {name: value for name, value in state.items() if name.split("/")[0] not in parts}
    return Network(own, components=below, static_kwargs=settings)
