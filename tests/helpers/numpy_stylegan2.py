"""StyleGAN2 in NumPy float64, as loops over its definition; arrays are NCHW and weights have their published names."""

import itertools

import numpy as np

TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8


def leaky(x):
    return np.sqrt(2) * np.where(x > 0, x, 0.2 * x)


def dense(x, weight, bias, lr_mul=1.0):
    return x @ weight.T * (lr_mul / np.sqrt(weight.shape[1])) + bias * lr_mul


def correlate(x, weight, pad):
    """A convolution of x [I, H, W] with weight [O, I, k, k] between zeros."""
    k = weight.shape[-1]
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    height, width = x.shape[1] - k + 1, x.shape[2] - k + 1
    y = np.zeros((len(weight), height, width))
    for row, column in itertools.product(range(height), range(width)):
        y[:, row, column] = np.sum(weight * x[None, :, row : row + k, column : column + k], axis=(1, 2, 3))
    return y


def low_pass(x, before, after, gain):
    """The filter [1, 3, 3, 1] on both axes of x [C, H, W], between zeros."""
    window = gain * np.outer(TAPS, TAPS)[None, None] * np.eye(len(x))[:, :, None, None]
    x = np.pad(x, ((0, 0), (before, after), (before, after)))
    return correlate(x, window, 0)


def transposed(x, weight):
    """A transposed convolution of stride 2: every pixel adds its multiple of the kernel; side H -> 2H + 1."""
    _, height, width = x.shape
    y = np.zeros((len(weight), 2 * height + 1, 2 * width + 1))
    for row, column in itertools.product(range(height), range(width)):
        y[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3] += np.einsum("i,oihw->ohw", x[:, row, column], weight)
    return y


def modulated(x, weight, style, *, demodulate=True, up=False):
    """One row: x [I, H, W], weight [O, I, k, k] as it is used, style [I] -> the row's own kernel, applied."""
    kernel = weight * style[None, :, None, None]
    if demodulate:
        kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(1, 2, 3), keepdims=True) + 1e-8)
    if up:
        return low_pass(transposed(x, kernel), 1, 1, 4.0)
    return correlate(x, kernel, weight.shape[-1] // 2)


def double(image):
    """Double an image [C, H, W]: a zero after every pixel, then the filter with gain 4."""
    channels, height, width = image.shape
    spread = np.zeros((channels, 2 * height, 2 * width))
    spread[:, ::2, ::2] = image
    return low_pass(spread, 2, 1, 4.0)


def mapping(state, z):
    w = z / np.sqrt(np.mean(z**2, axis=1, keepdims=True) + 1e-8)
    for i in range(1, 1 + sum(name.endswith("weight") for name in state if name.startswith("style."))):
        w = leaky(dense(w, state[f"style.{i}.weight"], state[f"style.{i}.bias"], 0.01))
    return w


def synthesis(state, w):
    """The image [3, R, R] of codes w [L, W], with the stored noise."""

    def convolve(x, name, code, **options):
        weight = state[f"{name}.conv.weight"][0]
        style = dense(code, state[f"{name}.conv.modulation.weight"], state[f"{name}.conv.modulation.bias"])
        return modulated(x, weight / np.sqrt(weight[0].size), style, **options)

    def styled(x, name, code, plane, **options):
        y = convolve(x, name, code, **options) + state[f"{name}.noise.weight"] * state[f"noises.noise_{plane}"][0]
        return leaky(y + state[f"{name}.activate.bias"][:, None, None])

    def to_rgb(x, name, code):
        return convolve(x, name, code, demodulate=False) + state[f"{name}.bias"][0]

    x = styled(state["input.input"][0], "conv1", w[0], 0)
    image = to_rgb(x, "to_rgb1", w[1])
    for level in range((len(w) - 2) // 2):
        x = styled(x, f"convs.{2 * level}", w[2 * level + 1], 2 * level + 1, up=True)
        x = styled(x, f"convs.{2 * level + 1}", w[2 * level + 2], 2 * level + 2)
        image = double(image) + to_rgb(x, f"to_rgbs.{level}", w[2 * level + 3])
    return image


def discriminator(state, images):
    """The logits [B] of images [B, 3, R, R] that are one group."""

    def conv(x, name, pad=0, stride=1):
        weight = state[f"{name}.weight"]
        return correlate(x, weight / np.sqrt(weight[0].size), pad)[:, ::stride, ::stride]

    def bias(x, name):
        return leaky(x + state[f"{name}.bias"][:, None, None])

    rows = []
    for image in images:
        x = bias(conv(image, "convs.0.0"), "convs.0.1")
        for i in range(1, 1 + sum(name.endswith("skip.1.weight") for name in state)):
            y = bias(conv(x, f"convs.{i}.conv1.0", pad=1), f"convs.{i}.conv1.1")
            y = bias(conv(low_pass(y, 2, 2, 1.0), f"convs.{i}.conv2.1", stride=2), f"convs.{i}.conv2.2")
            x = (y + conv(low_pass(x, 1, 1, 1.0), f"convs.{i}.skip.1", stride=2)) / np.sqrt(2)
        rows.append(x)
    rows = np.stack(rows)
    deviation = np.mean(np.sqrt(np.var(rows, axis=0) + 1e-8))
    rows = np.concatenate((rows, np.full((len(rows), 1, 4, 4), deviation)), axis=1)
    rows = [bias(conv(x, "final_conv.0", pad=1), "final_conv.1").reshape(-1) for x in rows]
    rows = leaky(dense(np.stack(rows), state["final_linear.0.weight"], state["final_linear.0.bias"]))
    return dense(rows, state["final_linear.1.weight"], state["final_linear.1.bias"])[:, 0]
