"""The state of a small generator in the three published layouts, from that of rosinality's implementation."""

import numpy as np

WIDTHS = {4: 16, 8: 8, 16: 4}
CODE, LAYERS = 8, 2
FILTER = np.float32(np.outer([1, 3, 3, 1], [1, 3, 3, 1])) / 64


def rosinality(seed=0):
    """Random; every number is one that the other layouts hold exactly as well."""
    rng = np.random.default_rng(seed)

    def eighths(*shape):
        return np.float32(rng.integers(-40, 40, shape) / 8)

    def modulated(name, inputs, outputs, kernel):
        weight = eighths(1, outputs, inputs, kernel, kernel)
        if kernel == 3:
            weight = np.float32(np.float64(weight) * np.sqrt(9 * inputs))
        return {
            f"{name}.conv.weight": weight,
            f"{name}.conv.modulation.weight": eighths(inputs, CODE),
            f"{name}.conv.modulation.bias": eighths(inputs),
        }

    def styled(name, inputs, outputs):
        rest = {f"{name}.noise.weight": eighths(1), f"{name}.activate.bias": eighths(outputs)}
        return modulated(name, inputs, outputs, 3) | rest

    def rgb(name, inputs):
        return modulated(name, inputs, 3, 1) | {f"{name}.bias": eighths(1, 3, 1, 1)}

    state = {"input.input": eighths(1, WIDTHS[4], 4, 4), "latent_avg": eighths(CODE)}
    for i in range(1, LAYERS + 1):
        state |= {f"style.{i}.weight": eighths(CODE, CODE), f"style.{i}.bias": eighths(CODE)}
    state |= styled("conv1", WIDTHS[4], WIDTHS[4]) | rgb("to_rgb1", WIDTHS[4])
    state["noises.noise_0"] = eighths(1, 1, 4, 4)
    for j, side in enumerate((8, 16)):
        state |= styled(f"convs.{2 * j}", WIDTHS[side // 2], WIDTHS[side])
        state |= styled(f"convs.{2 * j + 1}", WIDTHS[side], WIDTHS[side]) | rgb(f"to_rgbs.{j}", WIDTHS[side])
        state |= {f"convs.{2 * j}.conv.blur.kernel": 4 * FILTER, f"to_rgbs.{j}.upsample.kernel": 4 * FILTER}
        state |= {f"noises.noise_{2 * j + k}": eighths(1, 1, side, side) for k in (1, 2)}
    return state


# (layer of rosinality's, its block, its layer within, its noise plane)
CONVS = (("conv1", 4, 1, 0), *((f"convs.{2 * j + k}", 8 << j, k, 2 * j + k + 1) for j in (0, 1) for k in (0, 1)))
RGBS = (("to_rgb1", 4), ("to_rgbs.0", 8), ("to_rgbs.1", 16))


def ada(state):
    """NVIDIA's for PyTorch, with the settings of its modules."""
    found = {"mapping.w_avg": state["latent_avg"], "synthesis.b4.const": state["input.input"][0]}
    for i in range(LAYERS):
        found |= {f"mapping.fc{i}.{leaf}": state[f"style.{i + 1}.{leaf}"] for leaf in ("weight", "bias")}
        found |= {f"mapping.fc{i}.bias_gain": 0.01, f"mapping.fc{i}.activation": "lrelu"}
    for name, side, number, noise in CONVS:
        here, weight = f"synthesis.b{side}.conv{number}", state[f"{name}.conv.weight"][0]
        found |= {
            # Back to eighths: the product with the root was rounded.
            f"{here}.weight": np.float32(np.round(8 * weight / np.sqrt(9.0 * weight.shape[1])) / 8),
            f"{here}.affine.weight": state[f"{name}.conv.modulation.weight"],
            f"{here}.affine.bias": state[f"{name}.conv.modulation.bias"],
            f"{here}.bias": state[f"{name}.activate.bias"],
            f"{here}.noise_strength": state[f"{name}.noise.weight"][0],
            f"{here}.noise_const": state[f"noises.noise_{noise}"][0, 0],
            f"{here}.resample_filter": FILTER,
            f"{here}.activation": "lrelu",
            f"{here}.affine.activation": "linear",
            f"{here}.affine.bias_gain": 1,
        }
    for name, side in RGBS:
        here = f"synthesis.b{side}.torgb"
        found |= {
            f"{here}.weight": state[f"{name}.conv.weight"][0],
            f"{here}.affine.weight": state[f"{name}.conv.modulation.weight"],
            f"{here}.affine.bias": state[f"{name}.conv.modulation.bias"],
            f"{here}.bias": state[f"{name}.bias"].reshape(3),
            f"synthesis.b{side}.resample_filter": FILTER,
            f"synthesis.b{side}.architecture": "skip",
        }
    return found


def tf(state):
    """NVIDIA's for TensorFlow, without its settings."""
    found = {
        "dlatent_avg": state["latent_avg"],
        "lod": np.float32(0),
        "synthesis/4x4/Const/const": state["input.input"],
    }
    for i in range(LAYERS):
        found[f"mapping/Dense{i}/weight"] = state[f"style.{i + 1}.weight"].T
        found[f"mapping/Dense{i}/bias"] = state[f"style.{i + 1}.bias"]
    layers = [(name, side, "Conv" if side == 4 else ("Conv0_up", "Conv1")[number]) for name, side, number, _ in CONVS]
    layers += [(name, side, "ToRGB") for name, side in RGBS]
    for name, side, leaf in layers:
        here, weight = f"synthesis/{side}x{side}/{leaf}", state[f"{name}.conv.weight"][0].transpose(2, 3, 1, 0)
        found |= {
            f"{here}/weight": weight[::-1, ::-1] if leaf == "Conv0_up" else weight,
            f"{here}/mod_weight": state[f"{name}.conv.modulation.weight"].T,
            f"{here}/mod_bias": state[f"{name}.conv.modulation.bias"] - 1,
        }
        if leaf == "ToRGB":
            found[f"{here}/bias"] = state[f"{name}.bias"].reshape(3)
        else:
            found[f"{here}/bias"] = state[f"{name}.activate.bias"]
            found[f"{here}/noise_strength"] = state[f"{name}.noise.weight"][0]
    return found | {f"synthesis/noise{i}": state[f"noises.noise_{i}"] for i in range(5)}
