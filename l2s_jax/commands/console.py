"""The terminal: one console for results, one for warnings, and helpers for printing on them."""

import contextlib
from collections.abc import Callable, Iterator

from rich import markup
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from input_pipeline.errors import printable


def out(stderr: bool = False) -> Console:
    """Return a console without automatic highlighting of numbers and paths.

    In a pipe or a file its lines are up to 160 characters wide, so that tables are not squeezed.
    """
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def errors(screen: Console) -> Console:
    """Return the console for warnings: standard error, or `screen` if both are one terminal, to keep a bar intact."""
    separate = out(stderr=True)
    return screen if screen.is_terminal and separate.is_terminal else separate


def bar(console: Console) -> Progress:
    """Return a progress bar with count and time left, removed when it is done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Without a terminal a bar would leave an empty line.
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def evaluation_bar(screen: Console) -> Iterator[Callable[[int, int], None]]:
    """Yield a function of (examples done, examples in total) that draws a bar, removed when the block ends."""
    with contextlib.ExitStack() as shown:
        bars: list[tuple[Progress, int]] = []

        def told(done: int, total: int) -> None:
            if not bars:
                drawn = shown.enter_context(bar(screen))
                bars.append((drawn, drawn.add_task("evaluating", total=total)))
            progress, task = bars[0]
            progress.update(task, completed=done)

        yield told


def table(title: str | None, *columns: str) -> Table:
    """Make a borderless table; a column whose name starts with `>` is right-aligned."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        grid.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return grid


def swatch(color: tuple[int, int, int]) -> Text:
    """Return three cells filled with an RGB colour."""
    return Text("   ", style=f"on rgb({color[0]},{color[1]},{color[2]})")


def escape(text: str) -> str:
    """Escape untrusted text (file names, file contents) for printing.

    All untrusted text must pass through here: it removes control characters and escapes markup.
    """
    return markup.escape(printable(text))


def percent(fraction: float) -> str:
    """Format a fraction: `0.4561` -> `45.6 %`."""
    return f"{100 * fraction:.1f} %"
