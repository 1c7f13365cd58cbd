"""The terminal: one console for results, one for warnings, and small words on them."""

import contextlib
from collections.abc import Callable, Iterator

from rich import markup
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from input_pipeline.errors import printable


def out(stderr: bool = False) -> Console:
    """A console that does not colour numbers and paths on its own.

    Into a pipe or a file it writes lines up to 160 characters, so that tables are not squeezed.
    """
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=160)


def errors(screen: Console) -> Console:
    """Where warnings go: standard error; or `screen`, when both are one terminal and a bar would be torn apart."""
    separate = out(stderr=True)
    return screen if screen.is_terminal and separate.is_terminal else separate


def bar(console: Console) -> Progress:
    """A progress bar with count and time left, gone when it is done."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    # Where there is no terminal a bar would leave an empty line.
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


@contextlib.contextmanager
def evaluation_bar(screen: Console) -> Iterator[Callable[[int, int], None]]:
    """Give a function of (examples done, examples in all) whose first call draws a bar, gone when the block ends."""
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
    """A light table; a column whose name starts with `>` is right-aligned."""
    grid = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    for name in columns:
        grid.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return grid


def swatch(color: tuple[int, int, int]) -> Text:
    """Three cells of an RGB colour."""
    return Text("   ", style=f"on rgb({color[0]},{color[1]},{color[2]})")


def escape(text: str) -> str:
    """Text that others chose (names of files, what files hold) as it may stand in what is printed.

    Nothing of theirs reaches the terminal but through here: no control characters, no markup.
    """
    return markup.escape(printable(text))


def percent(fraction: float) -> str:
    """`0.4561` -> `45.6 %`."""
    return f"{100 * fraction:.1f} %"
