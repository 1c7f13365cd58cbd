"""Draw training curves: one small chart per logged quantity, so that no scale hides another. Our own design."""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from l2s_jax.report.svg import BLUE, INK, MUTED, ORANGE, PLUM, TEAL, Drawing, canvas, draw, style

_BINS = 90
_SCORES = re.compile(r"eval/(?:\w+\.)?(mean_f1|mean_iou|macro_acs|pixel_accuracy)")
# An evaluation logs every number of metrics.json; of the deeply nested ones only the F1 of a class gets a chart.
_TOO_DEEP = re.compile(r"eval/\w+\.(?!per_class\.[^.]+\.f1$).+\..+")
_GROUPS = (  # the first pattern found in the name decides
    ("Evaluation", re.compile(r"^eval[./]")),
    ("Speed", re.compile(r"per_sec|/s$|second|wait|_ms|eta$|memory")),
    ("Adversarial terms", re.compile(r"(^|[./_])(d|disc\w*|gan\w*|adv\w*|patch\w*|r1\w*)([./_]|$)", re.IGNORECASE)),
    ("Losses", re.compile("")),
)
ORDER = ("Scores", "Losses", "Adversarial terms", "Evaluation", "Speed")


class Chart(NamedTuple):
    """A chart of the group `group` (see ORDER)."""

    group: str
    title: str
    drawing: Drawing


def curves(history: Sequence[Mapping[str, float]]) -> list[Chart]:
    """Draw charts of everything in the history.

    Args:
      history: rows with `step` and finite scalars by name; any key may be missing from any row.

    Returns:
      Charts in the order of ORDER: the headline scores share one chart, every other quantity has its own, except
      deeply nested evaluation scores other than the F1 of a class, which have none.
    """
    series = collect(history)
    found = {name: match[1] for name in series if (match := _SCORES.fullmatch(name))}
    scores = {title: series.pop(name) for name, title in found.items()}
    charts = [Chart("Scores", "Scores on held-out faces", _score_chart(scores))] if scores else []
    shown = [name for name in series if not _TOO_DEEP.fullmatch(name)]
    grouped = sorted(shown, key=lambda name: (ORDER.index(_group(name)), name))
    return charts + [Chart(_group(name), name, _small_chart(*series[name])) for name in grouped]


def collect(history: Sequence[Mapping[str, float]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Group the history by quantity: (steps, values), both float64 [n], in step order.

    A resumed run may log steps twice: the last row of a step counts.
    """
    columns: dict[str, dict[float, float]] = {}
    for row in history:
        for name, value in row.items():
            if name not in ("step", "time"):
                columns.setdefault(name, {})[row["step"]] = value
    return {name: tuple(np.array(sorted(points.items())).T) for name, points in columns.items()}


def thin(steps: np.ndarray, values: np.ndarray, bins: int = _BINS) -> np.ndarray:
    """Reduce a long series to at most `bins` points: float64 [4, n] of mean step, mean, minimum and maximum value."""
    parts = np.array_split(np.arange(len(steps)), min(bins, len(steps)))
    rows = [(steps[p].mean(), values[p].mean(), values[p].min(), values[p].max()) for p in parts]
    return np.array(rows).T


def _group(name: str) -> str:
    return next(group for group, pattern in _GROUPS if pattern.search(name))


def _dress(axes, ticks: int) -> None:
    axes.grid(axis="y")
    axes.spines[["left"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(ticks, integer=True))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.margins(x=0.02, y=0.08)


def _score_chart(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> Drawing:
    """Draw the scores in [0, 1] on one axis, each named at its last point."""
    with style():
        figure, axes = canvas(1040, 320, (44, 12, 150, 30))
        ends = []
        for (name, (steps, values)), color in zip(scores.items(), (BLUE, TEAL, PLUM, ORANGE), strict=False):
            x, y, _, _ = thin(steps, values)
            axes.plot(x, y, color=color, linewidth=2.2, marker="o", markersize=4 if len(x) < 40 else 0)
            ends.append((y[-1], x[-1], f"{name}  {y[-1]:.3f}", color))
        low = min(values.min() for _, values in scores.values())
        axes.set_ylim(0 if low < 0.5 else 0.5 if low < 0.8 else 0.8, 1)
        _dress(axes, 8)
        lowest, highest = axes.get_ylim()
        place = lowest
        for y, x, text, color in sorted(ends):
            place = max(y, place)  # labels of close curves are moved apart so that they never overlap
            axes.annotate(text, (x, min(place, highest)), (10, 0), textcoords="offset points", va="center", color=color)
            place += 0.065 * (highest - lowest)
        return draw(figure, "evaluation scores by step")


def _small_chart(steps: np.ndarray, values: np.ndarray) -> Drawing:
    """Draw one quantity: the mean of neighbouring steps, the band between their extremes, and the last value."""
    x, mean, low, high = thin(steps, values)
    with style():
        figure, axes = canvas(260, 132, (44, 6, 12, 24))
        if len(x) > 1:
            axes.fill_between(x, low, high, color=BLUE, alpha=0.18, linewidth=0)
            axes.plot(x, mean, color=BLUE, linewidth=1.8)
        axes.plot(x[-1:], mean[-1:], "o", color=BLUE, markersize=4)
        at_top = mean[-1] < (np.nanmax(high) + np.nanmin(low)) / 2
        axes.text(
            1, 0.98 if at_top else 0.06, f"{mean[-1]:.4g}", transform=axes.transAxes, ha="right",
            va="top" if at_top else "bottom", color=INK,
        )  # fmt: skip
        _dress(axes, 4)
        axes.yaxis.set_major_locator(MaxNLocator(3))
        axes.yaxis.set_tick_params(labelcolor=MUTED)
        return draw(figure, "values by step")
