"""Finish the edits that give one face: measure it, draw the grid, write the results."""

from collections.abc import Sequence

from l2s_jax.commands.edit import work
from l2s_jax.commands.edit.cells import row, titles
from l2s_jax.report.image_grid import sheet
from l2s_jax.types import Code


def finish(
    task: work.Work, meaning: str, code: Code, regions: Sequence[str], feather: int | None, roles: Sequence[str]
) -> None:
    """Write one edited face.

    Args:
      task: the edit.
      meaning: see `work.finish`.
      code: the edited code of the first face.
      regions: the edited regions.
      feather: see `Editor.show`.
      roles: what each face is, for the grid.
    """
    (edit,) = task.editor.show(task.faces[0].pixels, code, regions, feather)
    cells = row(task.editor, [face.pixels for face in task.faces], edit)
    grid = sheet([cells], column_titles=titles(edit, *roles))
    work.report(", ".join(regions), edit)
    work.finish(task, meaning, [edit.image], grid, work.measures(edit))
