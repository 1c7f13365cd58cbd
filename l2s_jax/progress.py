"""Show progress on the terminal: one kind of bar for all commands and for training."""

import contextlib
import time
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

Show = Callable[..., None]
"""(done, total, note="") -> None."""


def bar(screen: Console, *, time: ProgressColumn | None = None, transient: bool = True) -> Progress:
    """Return a bar with title, count, time left (or the column `time`) and the text of the task's field `note`.

    Args:
      screen: where it is drawn; without a terminal, nothing is (a bar would leave an empty line).
      time: column to show instead of the time left.
      transient: remove the bar when it ends.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        time or TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    return Progress(*columns, console=screen, transient=transient, disable=not screen.is_terminal)


@contextlib.contextmanager
def shown(screen: Console, title: str, *, line_every: float | None = None) -> Iterator[Show]:
    """Yield a function that shows how much is done: `show(done, total, note="")`.

    The bar appears at the first call, because the display of a training may stand on the terminal until then, and is
    removed when the block ends. Without a terminal a line is printed every `line_every` seconds, or none.
    """
    with contextlib.ExitStack() as stack:
        started: list[tuple[Progress, int]] = []
        printed = time.monotonic()

        def show(done: int, total: int, note: str = "") -> None:
            nonlocal printed
            if screen.is_terminal:
                if not started:
                    drawn = stack.enter_context(bar(screen))
                    started.append((drawn, drawn.add_task(title, total=total, note=note)))
                drawn, task = started[0]
                drawn.update(task, completed=done, total=total, note=note)
            elif line_every is not None and time.monotonic() - printed > line_every:
                printed = time.monotonic()
                screen.print(f"{title}: {done} of {total}{', ' * bool(note)}{note}", markup=False)

        yield show
