"""State dicts with the names of published StyleGAN2 weights, of any size, narrow."""

import math

import numpy as np

BLUR = np.outer([0.125, 0.375, 0.375, 0.125], [0.125, 0.375, 0.375, 0.125]).astype(np.float32)


def widths(size, base, most):
    return {side: min(most, base // side) for side in (2**i for i in range(2, int(math.log2(size)) + 1))}


def generator_shapes(size, code=5, layers=2, base=48, most=6):
    """{name: shape} of a generator, without its filters."""
    wide = widths(size, base, most)
    shapes = {"input.input": (1, wide[4], 4, 4)}
    for i in range(1, layers + 1):
        shapes |= {f"style.{i}.weight": (code, code), f"style.{i}.bias": (code,)}

    def convolution(name, inputs, outputs, kernel):
        return {
            f"{name}.conv.weight": (1, outputs, inputs, kernel, kernel),
            f"{name}.conv.modulation.weight": (inputs, code),
            f"{name}.conv.modulation.bias": (inputs,),
        }

    def styled(name, inputs, outputs):
        own = {f"{name}.noise.weight": (1,), f"{name}.activate.bias": (outputs,)}
        return convolution(name, inputs, outputs, 3) | own

    def to_rgb(name, inputs):
        return convolution(name, inputs, 3, 1) | {f"{name}.bias": (1, 3, 1, 1)}

    shapes |= styled("conv1", wide[4], wide[4]) | to_rgb("to_rgb1", wide[4])
    for level, side in enumerate(list(wide)[1:]):
        shapes |= styled(f"convs.{2 * level}", wide[side // 2], wide[side])
        shapes |= styled(f"convs.{2 * level + 1}", wide[side], wide[side])
        shapes |= to_rgb(f"to_rgbs.{level}", wide[side])
    sides = [4, *(side for side in list(wide)[1:] for _ in range(2))]
    return shapes | {f"noises.noise_{i}": (1, 1, side, side) for i, side in enumerate(sides)}


def generator(size, **sizes):
    """Weights for every name, and the filters that a checkpoint stores; the mapping's as large as lr_mul 0.01 wants."""
    state = _drawn(generator_shapes(size, **sizes))
    for name in state:
        if name.startswith("style."):
            state[name] *= np.float32(100)
    doublings = range(int(math.log2(size)) - 2)
    filters = {f"convs.{2 * level}.conv.blur.kernel": 4 * BLUR for level in doublings}
    return state | filters | {f"to_rgbs.{level}.upsample.kernel": 4 * BLUR for level in doublings}


def discriminator(size, base=48, most=6):
    wide = widths(size, base, most)
    shapes, filters = {"convs.0.0.weight": (wide[size], 3, 1, 1), "convs.0.1.bias": (wide[size],)}, {}
    for i, side in enumerate(reversed(list(wide)[1:]), 1):
        inputs, outputs = wide[side], wide[side // 2]
        shapes |= {f"convs.{i}.conv1.0.weight": (inputs, inputs, 3, 3), f"convs.{i}.conv1.1.bias": (inputs,)}
        shapes |= {f"convs.{i}.conv2.1.weight": (outputs, inputs, 3, 3), f"convs.{i}.conv2.2.bias": (outputs,)}
        shapes |= {f"convs.{i}.skip.1.weight": (outputs, inputs, 1, 1)}
        filters |= {f"convs.{i}.conv2.0.kernel": BLUR, f"convs.{i}.skip.0.kernel": BLUR}
    shapes |= {"final_conv.0.weight": (wide[4], wide[4] + 1, 3, 3), "final_conv.1.bias": (wide[4],)}
    shapes |= {"final_linear.0.weight": (wide[4], 16 * wide[4]), "final_linear.0.bias": (wide[4],)}
    shapes |= {"final_linear.1.weight": (1, wide[4]), "final_linear.1.bias": (1,)}
    return _drawn(shapes) | filters


def _drawn(shapes):
    return {
        name: np.random.default_rng(i).standard_normal(shape, np.float32)
        for i, (name, shape) in enumerate(shapes.items())
    }
