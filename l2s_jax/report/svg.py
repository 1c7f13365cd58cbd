"""Turn matplotlib figures into inline SVG that takes its font and its colours from the page, light or dark."""

import io
import re

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Colours of a light page. In the SVG each becomes a CSS variable, so that a dark page can change it.
INK, MUTED, GRID, ON_FILL, CARD = "#20242c", "#697080", "#dfe2e8", "#fdfdfe", "#fefffe"
BLUE, ORANGE, TEAL, PLUM = "#2a6fb8", "#c75a12", "#0b7d73", "#8e4a9e"
_VARIABLES = {
    CARD: "--card", INK: "--ink", MUTED: "--muted", GRID: "--line", ON_FILL: "--on-fill",
    BLUE: "--blue", ORANGE: "--orange", TEAL: "--teal", PLUM: "--plum",
}  # fmt: skip

STYLE = {
    "svg.fonttype": "none",  # text stays text: selectable, and in the font of the page
    "svg.hashsalt": "l2s",  # deterministic output: the same numbers give the same bytes
    "text.parse_math": False,  # names come from files: a dollar sign must not start math
    "axes.unicode_minus": True,
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


def style() -> object:
    """Return the context in which figures of the report are built and saved."""
    return matplotlib.rc_context(STYLE)


def canvas(width: float, height: float, margins: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """Make a figure of `width` x `height` CSS pixels with one axes inside `margins` (left, top, right, bottom)."""
    figure = Figure(figsize=(width / 72, height / 72))  # the unit of SVG output is 1/72 inch
    left, top, right, bottom = margins
    box = (left / width, bottom / height, 1 - (left + right) / width, 1 - (top + bottom) / height)
    return figure, figure.add_axes(box)


def to_svg(figure: Figure, description: str) -> str:
    """Render the figure as an `<svg>` element for a page; `description` must already be escaped."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    width, height = (round(size * 72) for size in figure.get_size_inches())
    # Inside HTML an svg element needs no namespaces. On a narrow screen large charts scroll instead of shrinking.
    floor = "min-width:640px;" if width > 640 else ""
    head = f'<svg role="img" aria-label="{description}" viewBox="0 0 {width} {height}" style="{floor}width:{width}px">'
    text = re.sub(r"^<svg[^>]*>", lambda _: head, text)
    text = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", text)
    return re.sub("|".join(_VARIABLES), lambda match: f"var({_VARIABLES[match[0]]})", text)


def short(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters; characters that no font can draw (controls, lone surrogates) become `?`."""
    drawable = "".join(c if c.isprintable() else "?" for c in text[:limit])
    return drawable if len(text) <= limit else drawable[:-1] + "…"
