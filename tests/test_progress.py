"""The progress of every command: a bar on a terminal, lines in a file."""

import io

import pytest
from rich.console import Console

from l2s_jax import progress


def screen(terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, highlight=False)


def test_a_terminal_shows_a_bar_from_the_first_call_and_removes_it():
    console = screen(terminal=True)
    with progress.shown(console, "writing") as show:
        assert console.file.getvalue() == ""
        show(3, 8, "5 faces/s [bold]")
    text = console.file.getvalue()
    assert all(word in text for word in ("writing", "3/8", "5 faces/s [bold]"))
    assert text.endswith("\x1b[1A\x1b[2K")  # up a line, and clear it


def test_a_file_has_a_line_now_and_then_or_none(monkeypatch):
    now = iter([0.0, 9.0, 11.0, 11.5, 12.0, 21.4, 21.6, 21.7])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    console = screen(terminal=False)
    with progress.shown(console, "writing", line_every=10) as show:
        for done in range(1, 6):
            show(done, 8, "2 [broken]" if done == 2 else "")
    assert console.file.getvalue().splitlines() == ["writing: 2 of 8, 2 [broken]", "writing: 5 of 8"]
    silent = screen(terminal=False)
    monkeypatch.undo()
    with progress.shown(silent, "writing") as show:
        show(1, 8)
    assert silent.file.getvalue() == ""


@pytest.mark.parametrize("terminal", [True, False])
def test_nothing_to_do_shows_nothing(terminal):
    console = screen(terminal)
    with progress.shown(console, "writing", line_every=0):
        pass
    assert console.file.getvalue() == ""
