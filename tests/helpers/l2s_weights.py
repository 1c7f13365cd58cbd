"""State dicts with the names of published Latents2Segments and Swapping Autoencoder weights, narrow."""

import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parents[1] / "data" / "goldens" / "latents2segments.json"
STATE = json.loads(GOLDEN.read_text())["state"]
FILTERS = {1: [1.0], 3: [0.25, 0.5, 0.25], 4: [0.125, 0.375, 0.375, 0.125]}


def fixed(name, shape):
    gain = 4.0 if "blur" in name or "upsample" in name else 1.0
    return (gain * np.outer(FILTERS[shape[0]], FILTERS[shape[0]])).astype(np.float32)


def published(prefix, width_divisor=16):
    """A state dict with the published names of one network and every width divided; each tensor has its own values."""
    state = {}
    for i, (name, shape, how) in enumerate(STATE[prefix]):
        if how == "fixed":
            state[name] = fixed(name, shape)
        else:
            small = [n // width_divisor if n >= 32 else n for n in shape]
            state[name] = np.random.default_rng(i).normal(size=small).astype(np.float32)
    return state


def checkpoint(*prefixes):
    """A whole checkpoint: all four networks, or those of `prefixes` alone; the image discriminator is for 128 px."""
    stored = {"E": "E", "G": "G", "D": "D128", "Dpatch": "Dpatch"}
    state = {f"{kind}.{name}": x for kind in prefixes or stored for name, x in published(stored[kind]).items()}
    return state | {"num_discriminator_iters": np.zeros(1, np.int64)}
