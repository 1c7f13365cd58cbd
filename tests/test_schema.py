"""Configs and descriptions of models from anybody: each is loaded, or refused in one short sentence, soon."""

import copy
import json
import random
import time

import jax
import pytest
from systems import tiny_l2s, tiny_segface, tiny_svc

from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.bundle import meta as metas
from l2s_jax.trained import Model

TINY = {"latents2segments": tiny_l2s, "segface": tiny_segface, "structure_via_consensus": tiny_svc}
HOSTILE = (
    *(None, True, False, 0, 1, -1, 3, 7, 64, 2**20, 2**31, -(2**70), 10**400, 0.5, -2.0, 1e300, float("nan")),
    *("", "x", "none", "x" * 5000, "\x1b[2J\n", "../../etc", "published"),
    *([], [1], [0], [[1, 2]], [2] * 5, [64] * 60, [1] * 5000, ["a"], [None], [[[[[[[[[[1]]]]]]]]]], [1e300], [{"a": 1}]),
    *({}, {"a": 1}, {"a.b": {"__class__": 3}}),
)
NAMES = ("__class__", "a.b", "items", "lock", "_fields", "steps", "", "x" * 3000, "\x1b[2J", "système")
SECONDS = 4.0
"""For one mutant; the machine may be busy."""


def mutant(plain: dict, rng: random.Random) -> dict:
    """A copy with one to three places changed."""
    plain = copy.deepcopy(plain)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        node = plain
        name = rng.choice(sorted(node))
        while isinstance(node[name], dict) and node[name] and rng.random() < 0.9:
            node = node[name]
            name = rng.choice(sorted(node))
        match rng.choice(("value", "value", "value", "value", "scale", "repeat", "delete", "rename", "add")):
            case "value":
                node[name] = copy.deepcopy(rng.choice(HOSTILE))
            case "scale" if isinstance(node[name], int | float):
                node[name] *= rng.choice((-1, 2, 1000))
            case "repeat" if isinstance(node[name], list):
                node[name] = node[name] * rng.choice((0, 2, 30))
            case "rename":
                node[rng.choice(NAMES)] = node.pop(name)
            case "add":
                node[rng.choice(NAMES)] = copy.deepcopy(rng.choice(HOSTILE))
            case _:
                del node[name]
    return plain
