"""Writes tests/data/torch with PyTorch itself: run it by hand, no test imports it.

`PYTHONPATH=. python tests/helpers/write_torch_files.py`, where torch is installed (the files are of 2.13).

* network.pkl: a small StyleGAN2 in modules with the names and the arithmetic of NVIDIA's release, in our writing,
  pickled the way it pickles its own.
* stream.pt: its tensors, as rosinality's training script saves a checkpoint, in the format before PyTorch 1.6.
* network.npz: `state.NAME`, its tensors; and for `z` [B, Z] the codes `w` [B, W] truncated by `PSI` and the images
  `image` [B, 3, H, W], computed in float64.
"""

import argparse
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FOLDER = Path(__file__).parents[1] / "data" / "torch"
CODE, LAYERS, WIDTHS, PSI = 4, 2, {4: 16, 8: 8, 16: 4}, 0.7
FILTER = torch.outer(torch.tensor([1.0, 3, 3, 1]), torch.tensor([1.0, 3, 3, 1])) / 64


def rebuild(meta):
    raise NotImplementedError


rebuild.__module__, rebuild.__qualname__ = "torch_utils.persistence", "_reconstruct_persistent_obj"
rebuild.__name__ = rebuild.__qualname__


class Persistent(nn.Module):
    def __reduce__(self):
        meta = {"type": "class", "version": 6, "module_src": "raise SystemExit", "class_name": type(self).__name__}
        return rebuild, (meta | {"state": self.__dict__},), None


class FullyConnectedLayer(Persistent):
    def __init__(self, inputs, outputs, activation="linear", lr_multiplier=1.0, bias=0.0):
        super().__init__()
        self.activation = activation
        self.weight = nn.Parameter(torch.randn(outputs, inputs) / lr_multiplier)
        self.bias = nn.Parameter(bias + 0.3 * torch.randn(outputs) / lr_multiplier)
        self.weight_gain, self.bias_gain = lr_multiplier / np.sqrt(inputs), lr_multiplier

    def forward(self, x):
        x = functional.linear(x, self.weight.double() * self.weight_gain, self.bias.double() * self.bias_gain)
        return activated(x) if self.activation == "lrelu" else x


def activated(x):
    return functional.leaky_relu(x, 0.2) * np.sqrt(2)


def filtered(x, pad):
    kernel = (4 * FILTER).double()[None, None].repeat(x.shape[1], 1, 1, 1)
    return functional.conv2d(functional.pad(x, pad), kernel, groups=x.shape[1])


def doubled(image):
    batch, channels, height, width = image.shape
    apart = image.new_zeros(batch, channels, 2 * height, 2 * width)
    apart[:, :, ::2, ::2] = image
    return filtered(apart, (2, 1, 2, 1))


def modulated(x, weight, styles, *, up=False, demodulate=True):
    kernels = weight.double()[None] * styles[:, None, :, None, None]
    if demodulate:
        kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    if up:
        pairs = zip(x, kernels.transpose(1, 2), strict=True)
        return filtered(torch.cat([functional.conv_transpose2d(a[None], k, stride=2) for a, k in pairs]), (1, 1, 1, 1))
    pad = weight.shape[-1] // 2
    return torch.cat([functional.conv2d(a[None], k, padding=pad) for a, k in zip(x, kernels, strict=True)])


class SynthesisLayer(Persistent):
    def __init__(self, inputs, outputs, side, up=1):
        super().__init__()
        self.up, self.activation, self.act_gain, self.conv_clamp = up, "lrelu", np.sqrt(2), None
        self.register_buffer("resample_filter", FILTER.clone())
        self.affine = FullyConnectedLayer(CODE, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, 3, 3).to(memory_format=torch.channels_last))
        self.register_buffer("noise_const", torch.randn(side, side))
        self.noise_strength = nn.Parameter(torch.tensor(0.37))
        self.bias = nn.Parameter(torch.randn(outputs))

    def forward(self, x, w):
        x = modulated(x, self.weight, self.affine(w), up=self.up == 2)
        return activated(x + self.noise_const * self.noise_strength + self.bias[:, None, None])


class ToRGBLayer(Persistent):
    def __init__(self, inputs):
        super().__init__()
        self.affine = FullyConnectedLayer(CODE, inputs, bias=1.0)
        self.weight, self.bias = nn.Parameter(torch.randn(3, inputs, 1, 1)), nn.Parameter(torch.randn(3))
        self.weight_gain = 1 / np.sqrt(inputs)

    def forward(self, x, w):
        styles = self.affine(w) * self.weight_gain
        return modulated(x, self.weight, styles, demodulate=False) + self.bias[:, None, None]


class SynthesisBlock(Persistent):
    def __init__(self, inputs, outputs, side):
        super().__init__()
        self.architecture = "skip"
        self.register_buffer("resample_filter", FILTER.clone())
        if inputs:
            self.conv0 = SynthesisLayer(inputs, outputs, side, up=2)
        else:
            self.const = nn.Parameter(torch.randn(outputs, side, side))
        self.conv1, self.torgb = SynthesisLayer(outputs, outputs, side), ToRGBLayer(outputs)

    def forward(self, x, image, w):
        x = self.const.double().repeat(len(w), 1, 1, 1) if image is None else self.conv0(x, w)
        x = self.conv1(x, w)
        colours = self.torgb(x, w)
        return x, colours if image is None else doubled(image) + colours


class SynthesisNetwork(Persistent):
    def __init__(self):
        super().__init__()
        self.block_resolutions = list(WIDTHS)
        for side, width in WIDTHS.items():
            setattr(self, f"b{side}", SynthesisBlock(WIDTHS.get(side // 2, 0), width, side))

    def forward(self, w):
        x = image = None
        for side in self.block_resolutions:
            x, image = getattr(self, f"b{side}")(x, image, w)
        return image


class MappingNetwork(Persistent):
    def __init__(self):
        super().__init__()
        for i in range(LAYERS):
            setattr(self, f"fc{i}", FullyConnectedLayer(CODE, CODE, "lrelu", 0.01))
        self.register_buffer("w_avg", torch.randn(CODE))

    def forward(self, z, psi):
        x = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for i in range(LAYERS):
            x = getattr(self, f"fc{i}")(x)
        return self.w_avg + psi * (x - self.w_avg)


class Generator(Persistent):
    def __init__(self):
        super().__init__()
        self.synthesis, self.mapping = SynthesisNetwork(), MappingNetwork()


def main():
    module = types.ModuleType("torch_utils.persistence")
    module._reconstruct_persistent_obj = rebuild
    sys.modules |= {"torch_utils": types.ModuleType("torch_utils"), "torch_utils.persistence": module}
    torch.manual_seed(0)
    network = Generator().eval().requires_grad_(False)
    z = torch.randn(2, CODE, dtype=torch.float64)
    w = network.mapping(z, PSI)
    state = network.state_dict()
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "network.pkl").write_bytes(pickle.dumps({"G_ema": network, "augment_pipe": None}, protocol=4))
    parameter = nn.Parameter(torch.ones(3))
    optimiser = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimiser.step()
    content = {
        "g_ema": state,
        "g_optim": optimiser.state_dict(),
        "args": argparse.Namespace(size=16),
        "latent_avg": w[0],
    }
    torch.save(content, FOLDER / "stream.pt", _use_new_zipfile_serialization=False)
    arrays = {f"state.{name}": tensor.numpy() for name, tensor in state.items()}
    np.savez_compressed(FOLDER / "network.npz", z=z, w=w, image=network.synthesis(w), **arrays)


if __name__ == "__main__":
    main()
