"""Print on the terminal. Imports rich at the first use: help texts come without it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from input_pipeline.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text


def out(stderr: bool = False) -> Console:
    """Return a console without automatic highlighting of numbers and paths.

    In a pipe or a file its lines are up to 160 characters wide, so that tables are not squeezed.
    """
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def errors(screen: Console) -> Console:
    """Return the console for warnings: standard error, or `screen` if both are one terminal, to keep a bar intact."""
    separate = out(stderr=True)
    return screen if screen.is_terminal and separate.is_terminal else separate


def table(title: str | None, *columns: str) -> Table:
    """Make a borderless table; a column whose name starts with `>` is right-aligned."""
    from rich.table import Table

    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        grid.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return grid


def swatch(color: tuple[int, int, int]) -> Text:
    """Return three cells filled with an RGB colour."""
    from rich.text import Text

    return Text("   ", style=f"on rgb({color[0]},{color[1]},{color[2]})")


def escape(text: str) -> str:
    """Escape untrusted text (file names, file contents) for printing.

    All untrusted text must pass through here: it removes control characters and escapes markup.
    """
    from rich import markup

    return markup.escape(printable(text))


def percent(fraction: float) -> str:
    """Format a fraction: `0.4561` -> `45.6 %`."""
    return f"{100 * fraction:.1f} %"
