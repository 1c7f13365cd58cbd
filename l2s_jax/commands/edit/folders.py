"""Folders of photos that the commands `l2s edit VERB` take."""

from pathlib import Path

from input_pipeline.errors import require
from l2s_jax.commands import photos, results


def photos_of(folder: Path) -> list[Path]:
    """List the photos of a folder in name order, without the results of `l2s parse` and `l2s edit`.

    Raises:
      UserError: there is no such folder, or it holds no others.
    """
    listed = photos.list_photos([folder], deep=False)
    photos.check_any(listed, [folder])
    found = [photo.path for photo in listed.photos if not results.is_edit(photo.path)]
    require(found, f"'{folder}' holds only results of `l2s edit`: name a folder of photos")
    return found
