"""What every system may say of its publication: the authors' weights, and the scores that they report.

Plain facts, without JAX: the command line reads them for its help.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from ml_collections import ConfigDict

from input_pipeline.errors import UserError
from input_pipeline.labels import LabelSet


@dataclasses.dataclass(frozen=True)
class Result:
    """The result of one published model on its authors' test split.

    Attributes:
      title: the model.
      source: authors, place and year.
      data: the faces it was scored on.
      remark: what else keeps the numbers from being compared; a sentence.
      image_size: side of the images, in pixels, at which it was scored.
      f1: in [0, 1] by our class names, rounded as printed; classes that the paper does not list are absent.
      mean_f1: without the background; from the paper, or where it has none, the mean of its rows.
      mean_iou: over all classes and the background, or None where the paper has none.
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
        """Whose numbers these are, and on which faces: plain text for under a table."""
        means = f"mean F1 {self.mean_f1:.3f}" + ("" if self.mean_iou is None else f", mean IoU {self.mean_iou:.3f}")
        return (
            f"Published F1: {self.title} ({self.source}) at {self.image_size} px, {means}. Numbers of its authors "
            f"on their test split ({self.data}), not measured here; scores of other faces do not compare. {self.remark}"
        )


class Head(NamedTuple):
    """Data set whose classes a published network tells apart.

    Attributes:
      name: what `l2s convert --head` calls it.
      label_set: of its classes, in the order of the logits.
      data: its own name.
      shown: what a user must know of the faces that the network was trained on; may be empty.
    """

    name: str
    label_set: str
    data: str
    shown: str


class Weights(NamedTuple):
    """What there is to know of the published weights of a system.

    Attributes:
      heads: the networks by their names.
      image_size: pixels a side that they were trained at.
      licence: of the weights; `{data}` is the head's data.
      paper: where they are described.
    """

    heads: tuple[Head, ...]
    image_size: int
    licence: str
    paper: str


class Published(NamedTuple):
    """What is published of a system.

    Attributes:
      weights: the authors' networks, or None.
      results: by label set, in order of `image_size`; numbers of the authors, nothing here was measured by us.
    """

    weights: Weights | None = None
    results: Mapping[str, tuple[Result, ...]] = MappingProxyType({})


class Converted(NamedTuple):
    """A published network, read.

    Attributes:
      title: the network and its backbone, for people.
      head: what it tells apart.
      config: of the published recipe, but for its size in pixels.
      variables: of its system.
    """

    title: str
    head: Head
    config: ConfigDict
    variables: Mapping


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
    """Return one result for each column of a table in per cent."""
    columns = {name: _fractions(row) for name, row in f1.items()}
    return tuple(
        Result(title, source, data, remark, size, {name: row[i] for name, row in columns.items()}, mean, iou)
        for i, (size, mean, iou) in enumerate(zip(sizes, _fractions(mean_f1), _fractions(mean_iou), strict=True))
    )


def _fractions(per_cent: Sequence[float]) -> list[float]:
    return [value / 100 for value in per_cent]


def nearest_result(published: Published, label_set: LabelSet, image_size: float, spec: str) -> Result | None:
    """Return the published result to show beside scores of ours.

    Args:
      published: of the system that was scored.
      label_set: its classes.
      image_size: its resolution. Of several published ones the nearest is taken, of two as near the smaller.
      spec: source of the faces that were scored. Nothing published compares with drawn faces.

    Returns:
      the result, or None where no paper has one for these classes.
    """
    if spec.startswith("synthetic:"):
        return None
    results = published.results.get(label_set.name, ())
    return min(results, key=lambda result: abs(result.image_size - image_size), default=None)


def choose_head(weights: Weights, possible: Sequence[str], wanted: str | None, size: str) -> Head:
    """Return the head that is wanted among those that a file of weights may be of.

    Args:
      weights: whose heads they are.
      possible: names of the heads that the tensors fit.
      wanted: what the user says, or None.
      size: what the tensors tell, for the sentence, e.g. `11 classes`.

    Raises:
      UserError: they contradict each other, or leave a choice.
    """
    if wanted is None and len(possible) > 1:
        options = " or ".join(f"--head {head}" for head in possible)
        raise UserError(f"networks for {' and '.join(possible)} have the same tensors: say {options}")
    if wanted is not None and wanted not in possible:
        raise UserError(f"its {size} are those of {' or '.join(possible)}, not of {wanted}")
    return next(head for head in weights.heads if head.name == (wanted or possible[0]))
