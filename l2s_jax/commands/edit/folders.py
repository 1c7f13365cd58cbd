"""Folders of photos that the commands `l2s edit VERB` take."""

from pathlib import Path

from input_pipeline.errors import UserError
from l2s_jax.commands import photos, results


def photos_of(folder: Path) -> list[Path]:
    """List the photos of a folder in name order, without the results of `l2s parse` and `l2s edit`.

    Raises:
      UserError: there is no such folder, or it holds no others.
    """
    found = [path for path in photos.list_photos([folder]).paths if not results.is_edit(path)]
    if not found:
        raise UserError(f"'{folder}' holds only results of `l2s edit`: name a folder of photos")
    return found
