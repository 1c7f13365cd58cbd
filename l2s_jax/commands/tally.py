"""What `l2s parse` says while it works, to people or to programs, and what it sums up at the end."""

import json
from collections.abc import Sequence
from pathlib import Path

from input_pipeline import licences
from input_pipeline.errors import UserError
from l2s_jax.commands import console, photos
from l2s_jax.commands.photos import Listed
from l2s_jax.inference import detector
from l2s_jax.inference.parser import Parser


class Tally:
    """The count of photos and films that were parsed, were done before, or were skipped.

    Args:
      as_json: print one JSON object a line on standard output, and all else on standard error.
      skipped: names of what was passed over already.
      alone: there is one thing to parse: its error is the command's, and nothing else is said of it.

    Attributes:
      screen: the console for people.
      done, films, kept: photos and films parsed now, films among them, and photos parsed by an earlier run.
      skipped: names of those that could not be.
    """

    def __init__(self, as_json: bool, skipped: Sequence[str], *, alone: bool = False):
        self.screen = console.out(stderr=as_json)
        self._warnings = console.errors(self.screen)
        self._as_json, self._alone = as_json, alone
        self.done = self.films = self.kept = 0
        self.skipped = list(skipped)

    @property
    def seen(self) -> int:
        """Return how many were parsed, kept or skipped."""
        return self.done + self.kept + len(self.skipped)

    def introduce(self, parser: Parser, seconds: float, listed: Listed) -> None:
        """Say which model it is, how long it took to be ready, and what is left out."""
        meta, path = parser.model.meta, console.escape(str(parser.model.path))
        self.screen.print(
            f"model [bold]{meta.name}[/] [dim]({path}, {meta.system}, {parser.image_size} px, "
            f"ready in {seconds:.1f} s) licence: {console.escape(licences.short(meta.licence))}[/]"
        )
        if licences.strictness(parser.licence) > licences.strictness(meta.licence):
            finder = f"{detector.shipped().meta.name}, licence: {console.escape(licences.short(parser.licence))}"
            self.screen.print(f"[dim]faces are found by {finder}; --crop none does without[/]", soft_wrap=True)
        if listed.results:
            self.screen.print(f"[dim]{listed.results} files that l2s parse wrote are left out[/]")
        for problem in listed.passed_over:
            self._warn(problem.path, f"'{problem.path}' {problem.reason}")

    def add(self, line: str, facts: dict, *, film: bool = False) -> None:
        """Count what was parsed; print the line, or the facts."""
        self.done += 1
        self.films += film
        if self._as_json:
            print(json.dumps(facts))
        else:
            self.screen.print(line, soft_wrap=True)

    def keep(self) -> None:
        """Count what an earlier run has parsed."""
        self.kept += 1

    def skip(self, path: Path, error: UserError) -> None:
        """Count what cannot be read, and say why.

        Raises:
          UserError: it is all that there is.
        """
        self.skipped.append(path.name)
        self._warn(str(path), str(error))
        if self._alone:
            raise error

    def _warn(self, path: str, sentence: str) -> None:
        if self._as_json:
            print(json.dumps({"image": path, "error": sentence}))
        if not self._alone:
            photos.warn(self._warnings, sentence)

    def finish(self, out: Path) -> None:
        """Print the sum.

        Raises:
          UserError: something was skipped.
        """
        parts = [_count(self.done - self.films, "photo")] if self.done > self.films or not self.films else []
        parts += [_count(self.films, "film")] if self.films else []
        before = f", {self.kept} left as they were" if self.kept else ""
        self.screen.print(f"{' and '.join(parts)} parsed into {console.escape(str(out))}{before}", soft_wrap=True)
        if self.skipped:
            first = ", ".join(self.skipped[:5]) + (", ..." if len(self.skipped) > 5 else "")
            raise UserError(f"{len(self.skipped)} of {self.seen} photos could not be read and were skipped: {first}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
