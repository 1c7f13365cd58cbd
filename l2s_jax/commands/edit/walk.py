"""Finish the edits that walk: measure every face of the walk, draw the grid and the GIF, write the results."""

from collections.abc import Sequence

from l2s_jax.commands.edit import work
from l2s_jax.commands.edit.cells import cell
from l2s_jax.report.image_grid import sheet
from l2s_jax.types import Code


def finish(
    task: work.Work,
    meaning: str,
    walks: Sequence[Code],
    regions: Sequence[str],
    feather: int | None,
    titles: Sequence[str],
) -> None:
    """Write the faces of one walk or several, one after the other.

    Args:
      task: the edit.
      meaning: see `work.finish`.
      walks: codes of equally many faces each; the rows of the grid.
      regions: the regions that change.
      feather: see `Editor.show`.
      titles: of the columns of the grid.
    """
    photo = task.faces[0].pixels
    rows = [task.editor.show(photo, walk, regions, feather) for walk in walks]
    cells = [[cell(task.editor.square(edit.image) if edit.blend else edit.image) for edit in row] for row in rows]
    names = [f"{number + 1}" for number in range(len(rows))] if len(rows) > 1 else []
    grid = sheet(cells, row_titles=names, column_titles=titles)
    edits = [edit for row in rows for edit in row]
    for number, row in enumerate(rows):
        which = f", direction {number + 1}" if len(rows) > 1 else ""
        work.report(f"{', '.join(regions)}{which}, last step", row[-1])
    frames = [work.measures(edit) for edit in edits]
    work.finish(task, meaning, [edit.image for edit in edits], grid, {"frames": frames})
