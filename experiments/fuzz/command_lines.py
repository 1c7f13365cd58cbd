"""Hostile words on the command line."""

import contextlib
import io
import json
import tempfile
from collections.abc import Sequence

from hypothesis import strategies as st

from experiments.fuzz.inputs import JSON
from input_pipeline.errors import UserError
from l2s_jax import cli


def overrides(fields: Sequence[str]) -> st.SearchStrategy[list[str]]:
    text = st.text(max_size=30) | JSON.map(lambda value: json.dumps(value)[:1000])
    names = st.sampled_from(fields) | st.text(max_size=30)
    return st.lists(st.builds("{}={}".format, names, text), min_size=1, max_size=4)


def words() -> st.SearchStrategy[list[str]]:
    """Words after `l2s`, for commands that read; no path of them leads out of an empty folder."""
    others = {"demo", "train", "serve", "bench", "data", "edit"}
    commands = st.sampled_from([*sorted(cli.COMMANDS.keys() - others), "data check"])
    options = ("--model", "--out", "--data", "--json", "--size", "--label-set", "--regions", "--format", "--soft")
    values = ("--help", "0", "-1", "x.png", "synthetic:4?test", "records:x", "celebamask_hq", "parser-small")
    known = st.sampled_from(options + values)
    letters = st.characters(exclude_characters="/~.\x00")  # no word names another folder
    odd = st.text(letters, max_size=12).filter(lambda word: word != "-")  # standard input
    return st.builds(lambda command, rest: [*command.split(), *rest], commands, st.lists(known | odd, max_size=5))


def command(words: list[str]) -> None:
    """Run `l2s` in an empty folder; a mistake must be one line on standard error."""
    errors = io.StringIO()
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(stack.enter_context(tempfile.TemporaryDirectory())))
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(contextlib.redirect_stderr(errors))
        code = cli.main(words)
    lines = errors.getvalue().splitlines()
    if code == 2 and lines and lines[-1].startswith("l2s: "):
        raise UserError(lines[-1])
    if code:
        raise AssertionError(f"exit code {code}: {errors.getvalue()[-500:]}")
