"""Types for what is published about a system: the authors' weights and the scores that they report.

Plain data, without JAX: the command line uses it for its help texts.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from input_pipeline.errors import UserError, require
from input_pipeline.labels import LabelSet


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one published model on its authors' test split.

    Attributes:
      title: name of the model.
      source: authors, venue and year.
      data: the faces it was evaluated on.
      remark: a sentence on anything else that limits comparison of the numbers.
      image_size: side in pixels of the images it was evaluated on.
      f1: F1 in [0, 1] by our class names, rounded as printed; classes that the paper does not list are absent.
      mean_f1: without the background; from the paper or, if it has none, the mean of its rows.
      mean_iou: over all classes and the background; None if the paper has none.
    """

    title: str
    source: str
    data: str
    remark: str
    image_size: int
    f1: Mapping[str, float]
    mean_f1: float
    mean_iou: float | None

    @property
    def caption(self) -> str:
        """Return a plain-text table caption that says whose numbers these are and on which faces."""
        means = f"mean F1 {self.mean_f1:.3f}" + ("" if self.mean_iou is None else f", mean IoU {self.mean_iou:.3f}")
        return (
            f"Published F1: {self.title} ({self.source}) at {self.image_size} px, {means}. Numbers of its authors "
            f"on their test split ({self.data}), not measured here; scores of other faces do not compare. {self.remark}"
        )


@dataclasses.dataclass(frozen=True)
class ActivenessTable:
    """A published table of activeness-correlation scores (ACS) of several models on the same faces.

    Attributes:
      title: what it is, e.g. `Table 1`.
      source: authors, venue and year.
      data: the faces it was evaluated on.
      remark: a sentence on anything else that limits comparison of the numbers.
      image_size: side in pixels of the images it was evaluated on.
      slices: number of slices of every model; that of a generator which ignores which slice it gets is 1 / slices.
      acs: ACS in [0, 1] by model, rounded and in the order as printed.
    """

    title: str
    source: str
    data: str
    remark: str
    image_size: int
    slices: int
    acs: Mapping[str, float]

    @property
    def caption(self) -> str:
        """Return a plain-text table caption that says whose numbers these are and on which faces."""
        return (
            f"Published ACS: {self.title} of {self.source}, at {self.image_size} px. Numbers of its authors on their "
            f"test split ({self.data}), not measured here; scores of other faces do not compare. Their chance, "
            f"1 / {self.slices}, is our arithmetic. {self.remark}"
        )


class Head(NamedTuple):
    """The classes that a published network predicts, and the data set they belong to.

    Attributes:
      name: its name in `l2s convert --head`.
      label_set: label set of its classes, in the order of the logits; of a network that does not segment, any.
      data: name of the data set.
      shown: what a user must know about the faces that the network was trained on; may be empty.
    """

    name: str
    label_set: str
    data: str
    shown: str


class Weights(NamedTuple):
    """The published weights of a system.

    Attributes:
      heads: one per published network.
      image_size: side in pixels of the images they were trained on.
      licence: licence of the weights; `{data}` stands for the head's `data`.
      paper: the paper that describes them.
    """

    heads: tuple[Head, ...]
    image_size: int
    licence: str
    paper: str


class Published(NamedTuple):
    """Everything published about a system.

    Attributes:
      weights: the authors' networks, or None.
      results: the authors' scores by label set, in order of `image_size`; none of them was measured by us.
      activeness: the authors' tables of ACS; none of them was measured by us.
    """

    weights: Weights | None = None
    results: Mapping[str, tuple[Result, ...]] = MappingProxyType({})
    activeness: tuple[ActivenessTable, ...] = ()


class Converted(NamedTuple):
    """A published network, converted to this library.

    Attributes:
      title: human-readable name of the network and its backbone.
      head: the classes it predicts.
      config: the published recipe, except for `image_size`.
      variables: the variables of its system.
      image_size: side in pixels of its images where its tensors fit no other, or None.
    """

    title: str
    head: Head
    config: ConfigDict
    variables: Mapping
    image_size: int | None = None


Reader = Callable[[Mapping[str, np.ndarray], str | None, ConfigDict], Converted]
"""Converts published tensors: (tensors by name, head, config) -> `Converted`.

The head is a name of `Weights.heads`, or None if the tensors determine it. The config, the defaults of the system,
unlocked, is edited to that of the published network, except `image_size`. UserError: the tensors are not weights of the
system, or they fit more than one head.
"""


def at_sizes(
    title: str,
    source: str,
    data: str,
    remark: str,
    sizes: Sequence[int],
    f1: Mapping[str, Sequence[float]],
    mean_f1: Sequence[float],
    mean_iou: Sequence[float],
) -> tuple[Result, ...]:
    """Return one result per image size from the columns of a table in per cent."""
    columns = {name: _fractions(row) for name, row in f1.items()}
    return tuple(
        Result(title, source, data, remark, size, {name: row[i] for name, row in columns.items()}, mean, iou)
        for i, (size, mean, iou) in enumerate(zip(sizes, _fractions(mean_f1), _fractions(mean_iou), strict=True))
    )


def _fractions(per_cent: Sequence[float]) -> list[float]:
    return [value / 100 for value in per_cent]


def nearest_result(published: Published, label_set: LabelSet, image_size: float, spec: str) -> Result | None:
    """Return the published result to show beside our scores.

    Args:
      published: what is published about the system that was evaluated.
      label_set: its classes.
      image_size: its resolution; selects the result of the nearest published one, the smaller in case of a tie.
      spec: source of the faces it was evaluated on. No published result is comparable on synthetic faces.

    Returns:
      the result, or None if no paper reports one for these classes.
    """
    if spec.startswith("synthetic:"):
        return None
    results = published.results.get(label_set.name, ())
    return min(results, key=lambda result: abs(result.image_size - image_size), default=None)


def choose_head(weights: Weights, wanted: str | None, size: str, possible: Sequence[str] = ()) -> Head:
    """Choose the head of a weight file among those that its tensors fit.

    Args:
      weights: the published weights that define the heads.
      wanted: the head that the user asks for, or None.
      size: what the tensors show, for the error message, e.g. `11 classes`.
      possible: names of the heads that the tensors fit; () = all.

    Raises:
      UserError: `wanted` does not fit the tensors, or it is None and more than one head fits.
    """
    possible = possible or [head.name for head in weights.heads]
    if wanted is None and len(possible) > 1:
        options = " or ".join(f"--head {head}" for head in possible)
        raise UserError(f"networks for {' and '.join(possible)} have the same tensors: say {options}")
    require(wanted is None or wanted in possible, f"its {size} are those of {' or '.join(possible)}, not of {wanted}")
    return next(head for head in weights.heads if head.name == (wanted or possible[0]))
