"""Every tensor of the published encoders has a place in our backbones: names and shapes alone, quick at any size.

What the encoders compute is compared with the rest of their networks, in test_segface.py.
"""

import numpy as np

from l2s_jax.torch_weights.torchvision import convert_backbone, recognise
from tests.helpers.pairs import pairs

PREFIX = "backbone."


def pytest_generate_tests(metafunc):
    found = pairs(metafunc.config, "segface")
    cases = {f"{content['tag']}-{key}": model for content, _ in found for key, model in content["models"].items()}
    metafunc.parametrize("model", list(cases.values()), ids=list(cases))


def test_every_tensor_has_its_place(model):
    encoder = {
        name.removeprefix(PREFIX): np.broadcast_to(np.float32(0), shape)
        for name, shape, how in model["state"]
        if name.startswith(PREFIX) and how != "fixed"
    }
    convert_backbone(recognise(encoder, "children"), encoder, "children")
