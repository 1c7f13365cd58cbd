"""Draw matplotlib figures as the insides of inline SVG elements, in the colours of `PALETTE`.

The stylesheet of the page (page.html.jinja) maps each colour to a variable, so that a dark page can change it.
"""

import io
from typing import NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

PALETTE = {
    "card": "#fefffe", "ink": "#20242c", "muted": "#697080", "line": "#dfe2e8", "on-fill": "#fdfdfe",
    "blue": "#2a6fb8", "orange": "#c75a12", "teal": "#0b7d73", "plum": "#8e4a9e",
}  # fmt: skip
"""Colours of a light page by the name of their CSS variable; no two are equal."""

CARD, INK, MUTED, GRID, ON_FILL, BLUE, ORANGE, TEAL, PLUM = PALETTE.values()

STYLE = {
    "svg.fonttype": "none",  # text stays text: selectable, and in the font of the page
    "svg.hashsalt": "l2s",  # deterministic output: the same numbers give the same bytes
    "text.parse_math": False,  # names come from files: a dollar sign must not start math
    "font.size": 12,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": GRID,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "grid.color": GRID,
    "grid.linewidth": 1,
}


class Drawing(NamedTuple):
    """A figure for the page.

    Attributes:
      label: description for readers who do not see it.
      width, height: CSS pixels.
      body: what stands between the tags `<svg>` and `</svg>`; all text in it is escaped.
    """

    label: str
    width: int
    height: int
    body: str


class Titled(NamedTuple):
    """A drawing among others of its kind: what it shows in particular, and a remark below it, which may be empty."""

    title: str
    drawing: Drawing
    remark: str = ""


def style() -> object:
    """Return the context in which figures of the report are built and saved."""
    return matplotlib.rc_context(STYLE)


def canvas(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Make a figure of `width` x `height` CSS pixels with one axes inside `margins` (left, top, right, bottom)."""
    figure = Figure(figsize=(width / 72, height / 72))  # the unit of SVG output is 1/72 inch
    left, top, right, bottom = margins
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    return figure, figure.add_axes(box)


def draw(figure: Figure, label: str) -> Drawing:
    """Draw the figure; the page writes the `<svg>` tag itself, without the document type and namespaces of a file."""
    file = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=nothing)
    _, _, element = file.getvalue().partition("<svg")
    body = element.partition(">")[2].rpartition("</svg>")[0]
    width, height = (round(size * 72) for size in figure.get_size_inches())
    return Drawing(label, width, height, body)


def short(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters; characters that no font can draw (controls, lone surrogates) become `?`."""
    drawable = "".join(c if c.isprintable() else "?" for c in text[:limit])
    return drawable if len(text) <= limit else drawable[:-1] + "…"
