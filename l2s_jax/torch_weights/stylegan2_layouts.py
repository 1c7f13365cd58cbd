"""Bring the published layouts of StyleGAN2's generator to one: the names and axes of rosinality's implementation.

What the layouts call by different names computes the same, up to these differences, which are evened out here:

* NVIDIA's for TensorFlow stores kernels as [kh, kw, I, O], those that double the map reversed along kh and kw, dense
  kernels as [I, O], and the bias of a style without the 1 that is added to it.
* NVIDIA's for PyTorch does not scale the kernels of its modulated 3 x 3 convolutions by 1 / sqrt(fan in), since the
  demodulation takes any scale out again up to its epsilon. They are multiplied by sqrt(fan in), so that the scaled
  kernel is theirs and the epsilon weighs the same: what remains is the rounding of one float32 product. (NVIDIA's own
  conversion of the TensorFlow weights leaves them as they are, so that its epsilon weighs less by the fan in.)
* Both of NVIDIA's may clamp activations at 256 in their layers of half precision; ours do not. Values that large are a
  matter of training in half precision.

Sources: the key tables of NVIDIA's stylegan2-ada-pytorch (its reader of older files) and of its stylegan2, and
convert_weight.py of rosinality's stylegan2-pytorch, for facts.
"""

import re
from collections.abc import Mapping, Sequence

import numpy as np

from input_pipeline.errors import UserError, require
from l2s_jax.torch_weights.nvidia_networks import KWARGS
from l2s_jax.torch_weights.state_dict import Layout, Rule, State, Target, listing, same

_SIDE = "(8|16|32|64|128|256|512|1024|2048)"
_TF_SIDE = rf"{_SIDE}x\1"
_GAIN = 4.0  # of a filter behind zeros in between, which rosinality stores with the filter
_LR_MULTIPLIER = 0.01  # of the mapping, in all three

Leaves = Mapping[str, tuple[str, Layout]]


def to_rosinality(state: State) -> dict[str, np.ndarray]:
    """Rename the generator's tensors to rosinality's names, from whichever of the three layouts they have.

    Args:
      state: as `torch_file.read_state_dict` returns it. Of several networks the moving average of the generator is
        taken, the others are left out.

    Returns:
      `style.N.{weight,bias}`, `input.input`, `conv1.*`, `to_rgb1.*`, `convs.N.*`, `to_rgbs.N.*`, `noises.noise_N` and
      `latent_avg`; in rosinality's layout: what was given.

    Raises:
      UserError: it is none of the layouts, or a network of another kind in one of them.
    """
    if "input.input" in state:
        return dict(state)
    if f"{_PYTORCH_PREFIX}synthesis.b4.const" in state or "synthesis.b4.const" in state:
        return from_ada(state)
    if f"{_TENSORFLOW_PREFIX}synthesis/4x4/Const/const" in state:
        return from_tf(state)
    raise UserError(
        "the weights are in none of the layouts of StyleGAN2's generator: NVIDIA's for TensorFlow and for PyTorch, "
        "and rosinality's"
    )


def from_ada(state: State) -> dict[str, np.ndarray]:
    """Rename the tensors of NVIDIA's release for PyTorch (StyleGAN2-ADA).

    Args:
      state: tensors and settings of `G_ema`, under that prefix (other networks are left out) or without it.

    Raises:
      UserError: a tensor has no counterpart or cannot be laid out, or a setting is not that of StyleGAN2.
    """
    return _renamed(_network(state, _PYTORCH_PREFIX), _ADA, _ADA_SETTINGS, _ADA_UNUSED)


def from_tf(state: State) -> dict[str, np.ndarray]:
    """Rename the variables of NVIDIA's releases for TensorFlow (StyleGAN2 and StyleGAN2-ADA).

    Args:
      state: variables and settings of `Gs`, under that prefix; other networks are left out.

    Raises:
      UserError: a variable has no counterpart or cannot be laid out, or a setting is not that of StyleGAN2.
    """
    return _renamed(_network(state, _TENSORFLOW_PREFIX), _TF, _TF_SETTINGS, _TF_UNUSED)


def _network(state: State, prefix: str) -> State:
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    return own or state


def _renamed(state: State, rules: Sequence[Rule], settings: Mapping[str, object], unused: str) -> dict[str, np.ndarray]:
    renamed: dict[str, np.ndarray] = {}
    unknown = []
    for name, tensor in state.items():
        setting = next((pattern for pattern in settings if re.fullmatch(pattern, name)), None)
        if setting is not None:
            _check_setting(name, tensor, settings[setting])
        elif not re.fullmatch(unused, name):
            path, layout = next(((p, r.layout) for r in rules if (p := r.path(name)) is not None), (None, same))
            if path is None or path in renamed:
                unknown.append(name)
            else:
                renamed[path] = _laid_out(name, tensor, layout)
    require(not unknown, f"the generator is not StyleGAN2's with skip connections: no place for {listing(unknown)}")
    return renamed


def _check_setting(name: str, value: np.ndarray, expected: object) -> None:
    if not np.array_equal(value, np.array(expected)):
        raise UserError(f"the generator is not StyleGAN2's: its '{name}' is not {expected}")


def _laid_out(name: str, tensor: np.ndarray, layout: Layout) -> np.ndarray:
    try:
        return layout(tensor)
    except (ValueError, IndexError) as error:  # the layout expects another shape
        raise UserError(f"tensor '{name}' of shape {tuple(tensor.shape)} is not as StyleGAN2 has it") from error


def _level(side: str) -> int:
    """Count how often 8 is doubled to `side`."""
    return int(side).bit_length() - 4


def _conv(match: re.Match) -> str:
    """Name the layer of side `match[1]` and number `match[2]`, 0 or 1."""
    return f"convs.{2 * _level(match[1]) + int(match[2])}"


def _rgb(match: re.Match) -> str:
    return f"to_rgbs.{_level(match[1])}"


def _dense(match: re.Match) -> str:
    return f"style.{int(match[1]) + 1}"


def _layer(source: str, target: Target, leaves: Leaves) -> tuple[Rule, ...]:
    """Return the rules of a layer: its tensors `source` + key become those of `target`."""
    return tuple(Rule(source + key, _joined(target, name), layout) for key, (name, layout) in leaves.items())


def _joined(target: Target, name: str) -> Target:
    return (lambda match: f"{target(match)}.{name}") if callable(target) else f"{target}.{name}"


def _batched(tensor: np.ndarray) -> np.ndarray:
    """Add an axis in front: [...] -> [1, ...]."""
    return tensor[None]


def _plane(tensor: np.ndarray) -> np.ndarray:
    """Reshape a noise plane: [H, W] -> [1, 1, H, W]."""
    return tensor[None, None]


def _vector(tensor: np.ndarray) -> np.ndarray:
    """Reshape [] -> [1]."""
    return tensor.reshape(1)


def _rgb_bias(tensor: np.ndarray) -> np.ndarray:
    """Reshape [C] -> [1, C, 1, 1]."""
    return tensor.reshape(1, -1, 1, 1)


def _unscaled(tensor: np.ndarray) -> np.ndarray:
    """Take back the scaling of a kernel, rounded once: [O, I, kh, kw] -> [1, O, I, kh, kw] float32."""
    fan_in = np.prod(tensor.shape[1:], dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused where weights are converted
        return np.float32(np.float64(tensor) * np.sqrt(fan_in))[None]


def _amplified(tensor: np.ndarray) -> np.ndarray:
    return tensor * np.float32(_GAIN)


def _transposed(tensor: np.ndarray) -> np.ndarray:
    """Transpose a dense kernel: [I, O] -> [O, I]."""
    return tensor.transpose(1, 0)


def _kernel(tensor: np.ndarray) -> np.ndarray:
    """Transpose a kernel: [kh, kw, I, O] -> [1, O, I, kh, kw]."""
    return tensor.transpose(3, 2, 0, 1)[None]


def _reversed_kernel(tensor: np.ndarray) -> np.ndarray:
    """Transpose a kernel and reverse it in height and width: [kh, kw, I, O] -> [1, O, I, kh, kw]."""
    return _kernel(tensor[::-1, ::-1])


def _plus_one(tensor: np.ndarray) -> np.ndarray:
    return tensor + np.float32(1)


_DENSE = {"weight": ("weight", same), "bias": ("bias", same)}
_ADA_STYLE = {
    r"affine\.weight": ("conv.modulation.weight", same),
    r"affine\.bias": ("conv.modulation.bias", same),
}
_ADA_STYLED = _ADA_STYLE | {
    "weight": ("conv.weight", _unscaled),
    "bias": ("activate.bias", same),
    "noise_strength": ("noise.weight", _vector),
}
_ADA_RGB = _ADA_STYLE | {"weight": ("conv.weight", _batched), "bias": ("bias", _rgb_bias)}

_PYTORCH_PREFIX = "G_ema."
_ADA = (
    Rule(r"mapping\.w_avg", "latent_avg", same),
    *_layer(r"mapping\.fc(\d{1,2})\.", _dense, _DENSE),
    Rule(r"synthesis\.b4\.const", "input.input", _batched),
    *_layer(r"synthesis\.b4\.conv1\.", "conv1", _ADA_STYLED),
    *_layer(r"synthesis\.b4\.torgb\.", "to_rgb1", _ADA_RGB),
    *_layer(rf"synthesis\.b{_SIDE}\.conv([01])\.", _conv, _ADA_STYLED),
    *_layer(rf"synthesis\.b{_SIDE}\.torgb\.", _rgb, _ADA_RGB),
    Rule(r"synthesis\.b4\.conv1\.noise_const", "noises.noise_0", _plane),
    Rule(
        rf"synthesis\.b{_SIDE}\.conv([01])\.noise_const",
        lambda match: f"noises.noise_{2 * _level(match[1]) + int(match[2]) + 1}",
        _plane,
    ),
    Rule(rf"synthesis\.b{_SIDE}\.conv(0)\.resample_filter", _joined(_conv, "conv.blur.kernel"), _amplified),
    Rule(rf"synthesis\.b{_SIDE}\.resample_filter", _joined(_rgb, "upsample.kernel"), _amplified),
)
_ADA_UNUSED = r"synthesis\.b\d+\.conv1\.resample_filter|synthesis\.b4\.resample_filter"  # layers that do not resample
_ADA_SETTINGS = {
    r"mapping\.fc\d+\.bias_gain": _LR_MULTIPLIER,
    r"mapping\.fc\d+\.activation": "lrelu",
    r"synthesis\.b\d+\.architecture": "skip",
    r"synthesis\.b\d+\.conv[01]\.activation": "lrelu",
    r"synthesis\.b\d+\.\w+\.affine\.bias_gain": 1,
    r"synthesis\.b\d+\.\w+\.affine\.activation": "linear",
}

_TF_STYLE = {
    "mod_weight": ("conv.modulation.weight", _transposed),
    "mod_bias": ("conv.modulation.bias", _plus_one),
}
_TF_STYLED = _TF_STYLE | {"bias": ("activate.bias", same), "noise_strength": ("noise.weight", _vector)}
_TF_PLAIN = _TF_STYLED | {"weight": ("conv.weight", _kernel)}
_TF_UP = _TF_STYLED | {"weight": ("conv.weight", _reversed_kernel)}
_TF_RGB = _TF_STYLE | {"weight": ("conv.weight", _kernel), "bias": ("bias", _rgb_bias)}

_TENSORFLOW_PREFIX = "Gs."
_TF = (
    Rule("dlatent_avg", "latent_avg", same),
    *_layer(r"mapping/Dense(\d{1,2})/", _dense, _DENSE | {"weight": ("weight", _transposed)}),
    Rule("synthesis/4x4/Const/const", "input.input", same),
    *_layer("synthesis/4x4/Conv/", "conv1", _TF_PLAIN),
    *_layer("synthesis/4x4/ToRGB/", "to_rgb1", _TF_RGB),
    *_layer(rf"synthesis/{_TF_SIDE}/Conv(0)_up/", _conv, _TF_UP),
    *_layer(rf"synthesis/{_TF_SIDE}/Conv(1)/", _conv, _TF_PLAIN),
    *_layer(rf"synthesis/{_TF_SIDE}/ToRGB/", _rgb, _TF_RGB),
    Rule(r"synthesis/noise(\d{1,2})", r"noises.noise_\1", same),
)
_TF_UNUSED = "(synthesis/)?lod"  # level of detail of progressive growing, 0
_TF_SETTINGS = {
    f"{KWARGS}/architecture": "skip",
    f"{KWARGS}/mapping_lrmul": _LR_MULTIPLIER,
    f"{KWARGS}/mapping_nonlinearity": "lrelu",
    f"{KWARGS}/nonlinearity": "lrelu",
    f"{KWARGS}/normalize_latents": True,
    f"{KWARGS}/resample_kernel": [1, 3, 3, 1],
}
