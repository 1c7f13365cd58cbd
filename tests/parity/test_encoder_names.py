"""Every tensor of the published encoders has a place in our backbones: names and shapes alone, quick at any size.

What the encoders compute is compared with the rest of their networks, in test_segface.py.
"""

import numpy as np

from l2s_jax.torch_weights.torchvision import convert_backbone, recognise
from tests.helpers.pairs import pairs

PREFIX = "backbone."


def pytest_generate_tests(metafunc):
    cases = {}  # by its tensors: several models have one encoder
    for content, _ in pairs(metafunc.config, "segface"):
        for key, model in content["models"].items():
            tensors = (
                (name.removeprefix(PREFIX), tuple(shape))
                for name, shape, how in model["state"]
                if name.startswith(PREFIX) and how != "fixed"
            )
            cases.setdefault(tuple(tensors), f"{content['tag']}-{key}")
    metafunc.parametrize("tensors", list(cases), ids=list(cases.values()))


def test_every_tensor_has_its_place(tensors):
    encoder = {name: np.broadcast_to(np.float32(0), shape) for name, shape in tensors}
    convert_backbone(recognise(encoder, "children"), encoder, "children")
