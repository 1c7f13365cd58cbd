"""Published recognition networks at any size: random state dicts in their names, and InsightFace's in NumPy."""

import numpy as np

from tests.helpers.rule import weight


def _norm(name, channels):
    leaves = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{leaf}": (channels,) for leaf in leaves} | {f"{name}.num_batches_tracked": ()}


def _filled(shapes):
    return {name: weight(f"test/{name}", shape) for name, shape in shapes.items()}


def iresnet(depths, width, outputs, cells):
    """`backbone.pth` of InsightFace for pictures of 16 * cells px."""
    shapes = {"conv1.weight": (width, 3, 3, 3), **_norm("bn1", width), "prelu.weight": (width,)}
    before = width
    for s, depth in enumerate(depths):
        channels = width * 2**s
        for b in range(depth):
            name, inputs = f"layer{s + 1}.{b}", channels if b else before
            shapes |= _norm(f"{name}.bn1", inputs) | {f"{name}.conv1.weight": (channels, inputs, 3, 3)}
            shapes |= _norm(f"{name}.bn2", channels) | {f"{name}.prelu.weight": (channels,)}
            shapes |= {f"{name}.conv2.weight": (channels, channels, 3, 3)} | _norm(f"{name}.bn3", channels)
            if not b:
                shapes |= {f"{name}.downsample.0.weight": (channels, inputs, 1, 1)}
                shapes |= _norm(f"{name}.downsample.1", channels)
        before = channels
    shapes |= _norm("bn2", before) | {"fc.weight": (outputs, before * cells**2), "fc.bias": (outputs,)}
    return _filled(shapes | _norm("features", outputs)) | {"features.weight": np.ones(outputs, np.float32)}


def ir_se(depths, width, outputs, cells):
    """`model_ir_se50.pth` of TreB1eN, with any number of blocks."""
    shapes = {
        "input_layer.0.weight": (width, 3, 3, 3),
        **_norm("input_layer.1", width),
        "input_layer.2.weight": (width,),
    }
    before, number = width, 0
    for s, depth in enumerate(depths):
        channels = width * 2**s
        for _ in range(depth):
            name = f"body.{number}.res_layer"
            shapes |= _norm(f"{name}.0", before) | {f"{name}.1.weight": (channels, before, 3, 3)}
            shapes |= {f"{name}.2.weight": (channels,), f"{name}.3.weight": (channels, channels, 3, 3)}
            squeezed = max(channels // 16, 1)
            shapes |= _norm(f"{name}.4", channels) | {f"{name}.5.fc1.weight": (squeezed, channels, 1, 1)}
            shapes |= {f"{name}.5.fc2.weight": (channels, squeezed, 1, 1)}
            if before != channels:
                shapes |= {f"body.{number}.shortcut_layer.0.weight": (channels, before, 1, 1)}
                shapes |= _norm(f"body.{number}.shortcut_layer.1", channels)
            before, number = channels, number + 1
    shapes |= _norm("output_layer.0", before) | {"output_layer.3.weight": (outputs, before * cells**2)}
    return _filled(shapes | {"output_layer.3.bias": (outputs,)} | _norm("output_layer.4", outputs))


def mobile_face_net(depths, width, outputs, cells):
    """The `state_dict` of MobileFaceNet with landmarks."""
    shapes = {}

    def unit(name, inputs, features, kernel, prelu=True, depthwise=False):
        shapes.update({f"{name}.conv.weight": (features, 1 if depthwise else inputs, kernel, kernel)})
        shapes.update(_norm(f"{name}.bn", features) | ({f"{name}.prelu.weight": (features,)} if prelu else {}))

    def block(name, inputs, expanded, features):
        unit(f"{name}.conv", inputs, expanded, 1)
        unit(f"{name}.conv_dw", expanded, expanded, 3, depthwise=True)
        unit(f"{name}.project", expanded, features, 1, prelu=False)

    unit("conv1", 3, width, 3)
    unit("conv2_dw", width, width, 3, depthwise=True)
    stages = zip(("23", "34", "45"), (1, 2, 2), (2, 4, 8), (2, 4, 4), depths, strict=True)
    before = width
    for s, (first, channels, expanded, inner, depth) in enumerate(stages):
        block(f"conv_{first}", before, expanded * width, channels * width)
        before = channels * width
        for b in range(depth):
            block(f"conv_{s + 3}.model.{b}", before, inner * width, before)
    unit("conv_6_sep", before, 8 * width, 1)
    unit("output_layer.conv_6_dw", 8 * width, 8 * width, cells, prelu=False, depthwise=True)
    shapes["output_layer.linear.weight"] = (outputs, 8 * width)
    return _filled(shapes | _norm("output_layer.bn", outputs))


def iresnet_embedding(state, image):
    """What InsightFace's network computes in evaluation, float64: image [B, 3, S, S] -> [B, outputs]."""
    state = {name: np.asarray(array, np.float64) for name, array in state.items()}

    def norm(x, name):
        scale, bias, mean, var = (
            state[f"{name}.{leaf}"].reshape(-1, *(1,) * (x.ndim - 2))
            for leaf in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(var + 1e-5) * scale + bias

    def prelu(x, name):
        return np.where(x > 0, x, state[f"{name}.weight"][:, None, None] * x)

    def block(x, name):
        stride = 2 if name.endswith(".0") else 1
        y = convolve(norm(x, f"{name}.bn1"), state[f"{name}.conv1.weight"], 1)
        y = prelu(norm(y, f"{name}.bn2"), f"{name}.prelu")
        y = norm(convolve(y, state[f"{name}.conv2.weight"], stride), f"{name}.bn3")
        if f"{name}.downsample.0.weight" in state:
            x = norm(convolve(x, state[f"{name}.downsample.0.weight"], stride), f"{name}.downsample.1")
        return x + y

    x = prelu(norm(convolve(np.float64(image), state["conv1.weight"], 1), "bn1"), "prelu")
    for name in dict.fromkeys(".".join(name.split(".")[:2]) for name in state if name.startswith("layer")):
        x = block(x, name)
    x = norm(x, "bn2").reshape(len(x), -1)
    return norm(x @ state["fc.weight"].T + state["fc.bias"], "features")


def convolve(x, kernel, stride):
    """NCHW, the border padded by half a kernel with zeros."""
    size = kernel.shape[-1]
    x = np.pad(x, ((0, 0), (0, 0), (size // 2,) * 2, (size // 2,) * 2))
    windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return np.einsum("bihwkl,oikl->bohw", windows, kernel)
