"""Convert a published state dict to a Linen variable tree, by a readable table of rules.

A table gives every source tensor its variable and its axis order there. It must be complete: a source tensor without a
rule, a variable that no tensor fills and a shape that does not fit are errors, and the message names them.
"""

import dataclasses
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from input_pipeline.errors import UserError, require
from l2s_jax.layers.fir import Taps, normalized

State = Mapping[str, np.ndarray]
Layout = Callable[[np.ndarray], np.ndarray]
Target = str | Callable[[re.Match], str]
"""Path of a layer or variable, `/` between levels: a template for `re.Match.expand`, or a function of the match."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One line of a conversion table.

    Attributes:
      pattern: regular expression for the full source name.
      target: path of the variable, with its collection.
      layout: source array -> array in our axis order.
    """

    pattern: str
    target: Target
    layout: Layout

    def path(self, name: str) -> str | None:
        """Return the path of the variable that the tensor `name` fills, or None if the rule does not apply."""
        match = re.fullmatch(self.pattern, name)
        if match is None:
            return None
        return self.target(match) if callable(self.target) else match.expand(self.target)


@dataclasses.dataclass(frozen=True)
class Constant:
    """Source tensors that are not weights, but must have the value that our layers assume.

    Attributes:
      pattern: regular expression for the full source name.
      expected: shape -> the only accepted value.
    """

    pattern: str
    expected: Callable[[tuple[int, ...]], np.ndarray]


def low_pass(gain: float, taps: Sequence[Taps]) -> Callable[[tuple[int, ...]], np.ndarray]:
    """Return the `expected` of a low-pass filter: from its shape to `gain` times the filter of that many of the taps.

    Args:
      gain: sum of the filter.
      taps: those of one axis, as layers/fir.py takes them; a shape that none has gets the first.
    """
    by_size = {len(each): each for each in taps}

    def expected(shape: tuple[int, ...]) -> np.ndarray:
        weights = normalized(by_size.get(shape[0] if shape else 0, taps[0]))
        return gain * np.outer(weights, weights)

    return expected


def convert(state: State, rules: Sequence[Rule], constants: Sequence[Constant], target: Any, title: str) -> Any:
    """Fill a variable tree.

    Args:
      state: source tensors by name.
      rules: the first that matches a name applies.
      constants: tensors that are checked and dropped.
      target: nested dict of arrays or `jax.ShapeDtypeStruct` with the wanted shapes.
      title: name of the model, for error messages.

    Returns:
      nested dict like `target`, of float32 numpy arrays.

    Raises:
      UserError: a tensor has no rule, two fill one variable, a variable stays empty, a shape or a constant is wrong,
        or values cannot be weights (integers, not finite, negative variances).
    """
    shapes = {path: tuple(leaf.shape) for path, leaf in flatten_dict(target, sep="/").items()}
    filled: dict[str, np.ndarray] = {}
    origin: dict[str, str] = {}
    unknown = []
    for name, tensor in state.items():
        constant = next((c for c in constants if re.fullmatch(c.pattern, name)), None)
        if constant is not None:
            _check_constant(name, tensor, constant, title)
            continue
        path, layout = next(((p, r.layout) for r in rules if (p := r.path(name)) is not None), (None, None))
        if path not in shapes:
            unknown.append(name)
            continue
        require(path not in filled, f"{title}: tensors '{origin.get(path)}' and '{name}' both fill '{path}'")
        filled[path], origin[path] = _laid_out(name, tensor, layout, path, shapes[path], title), name
    missing = sorted(set(shapes) - set(filled))
    if unknown or missing:
        extra = [f"no place for {listing(unknown)}"] if unknown else []
        empty = [f"nothing for {listing(missing)}"] if missing else []
        raise UserError(f"{title}: the weights are not of this network: {' and '.join(extra + empty)}")
    return unflatten_dict(filled, sep="/")


def without_counters(state: State) -> State:
    """Leave out `num_batches_tracked` of every normalisation, with which PyTorch averages only if it has no decay."""
    return {name: tensor for name, tensor in state.items() if not name.endswith(".num_batches_tracked")}


def _laid_out(name: str, tensor: np.ndarray, layout: Layout, path: str, shape: tuple[int, ...], title: str):
    message = f"{title}: tensor '{name}' of shape {tuple(tensor.shape)} cannot fill '{path}' of shape {shape}"
    fits = jax.dtypes.issubdtype(tensor.dtype, np.floating)
    require(fits, f"{title}: tensor '{name}' holds {tensor.dtype}, not the floating-point numbers of weights")
    try:
        with np.errstate(over="ignore"):  # float64 values beyond float32 become infinite and are refused below
            array = np.asarray(layout(np.asarray(tensor)), np.float32)
    except (ValueError, IndexError) as error:  # the layout expects another rank
        raise UserError(message) from error
    require(array.shape == shape, message)
    require(np.all(np.isfinite(array)), f"{title}: tensor '{name}' holds numbers that are not finite in float32")
    is_variance = path.rpartition("/")[2] == "var"
    require(not is_variance or np.all(array >= 0), f"{title}: tensor '{name}' holds a negative variance")
    return array


def _check_constant(name: str, tensor: np.ndarray, constant: Constant, title: str) -> None:
    expected = constant.expected(tuple(tensor.shape))
    fits = expected.shape == tuple(tensor.shape) and np.allclose(tensor, expected, rtol=0, atol=1e-6)
    require(fits, f"{title}: the fixed tensor '{name}' does not hold the value that this network is built on")


def listing(names: Sequence[str]) -> str:
    """Return the first of the names, for a sentence."""
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"


def same(tensor: np.ndarray) -> np.ndarray:
    """Return the tensor unchanged."""
    return tensor


def conv(tensor: np.ndarray) -> np.ndarray:
    """Transpose a convolution kernel: [O, I, kh, kw] -> [kh, kw, I, O]."""
    return tensor.transpose(2, 3, 1, 0)


def dense(tensor: np.ndarray) -> np.ndarray:
    """Transpose a dense kernel: [O, I] -> [I, O]."""
    return tensor.transpose(1, 0)


def pointwise(tensor: np.ndarray) -> np.ndarray:
    """Transpose the kernel of a 1x1 convolution for a dense layer: [O, I, 1, 1] -> [I, O]."""
    return dense(tensor.reshape(tensor.shape[:2]))


def modulated(tensor: np.ndarray) -> np.ndarray:
    """Transpose a modulated convolution's kernel: [1, O, I, kh, kw] -> [kh, kw, I, O]."""
    return conv(tensor[0])


def flat(tensor: np.ndarray) -> np.ndarray:
    """Flatten to [C], dropping axes of length 1."""
    return tensor.reshape(-1)


def scalar(tensor: np.ndarray) -> np.ndarray:
    """Reshape [1] -> []."""
    return tensor.reshape(())


def dense_of_maps(height: int, width: int, maps: int = 1) -> Layout:
    """Return the layout of a dense layer behind flattened maps: [O, maps * C * height * width] ->
    [maps * height * width * C, O].
    """

    def layout(tensor: np.ndarray) -> np.ndarray:
        grid = tensor.reshape(tensor.shape[0], maps, -1, height, width)
        return grid.transpose(1, 3, 4, 2, 0).reshape(-1, tensor.shape[0])

    return layout


def within(target: Target, name: str) -> Target:
    """Return the path of what is called `name` inside a layer."""
    return f"{target}/{name}" if isinstance(target, str) else lambda match: f"{target(match)}/{name}"


def leaf(source: str, target: Target, name: str, layout: Layout = same, collection: str = "params") -> Rule:
    """Return the rule of a variable: the tensor `source` is the leaf `name` of our layer `target`."""
    path = within(target, name)
    if isinstance(path, str):
        return Rule(source, f"{collection}/{path}", layout)
    return Rule(source, lambda match: f"{collection}/{path(match)}", layout)


def layer(source: str, target: Target, layout: Layout = dense, bias: Layout = same) -> tuple[Rule, ...]:
    """Return the rules of a dense layer or convolution: kernel and, where the source has one, bias."""
    return leaf(rf"{source}\.weight", target, "kernel", layout), leaf(rf"{source}\.bias", target, "bias", bias)


def norm(source: str, target: Target) -> tuple[Rule, ...]:
    """Return the rules of a normalisation: scale and bias."""
    return leaf(rf"{source}\.weight", target, "scale"), leaf(rf"{source}\.bias", target, "bias")


def batch_norm(source: str, target: Target) -> tuple[Rule, ...]:
    """Return the rules of a batch normalisation: scale, bias and the running statistics."""
    return (
        *norm(source, target),
        leaf(rf"{source}\.running_mean", target, "mean", collection="batch_stats"),
        leaf(rf"{source}\.running_var", target, "var", collection="batch_stats"),
    )
