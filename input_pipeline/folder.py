"""A folder of photos and label images, paired by name.

DIR[/SPLIT]/images/NAME.jpg|jpeg|png
DIR[/SPLIT]/masks/NAME.png           class ids, 255 = ignore
DIR[/SPLIT]/labels.json              optional: {"label_set": NAME}, also looked for in DIR; CelebAMask's order otherwise
"""

import json
import os
from collections.abc import Collection
from pathlib import Path

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images import image_size, read_image, read_mask
from input_pipeline.labels import LabelSet
from input_pipeline.sources import Example

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
_MAX_JSON_BYTES = 65536


class FolderSource:
    """The faces of one folder, in the order of their names.

    Args:
      directory: the folder DIR.
      split: its sub-folder, or None when images/ lies in DIR itself.
      label_set: the order of the ids in the masks; None reads labels.json.
      require_masks: False lets masks/ be absent: then no example has a mask.

    Raises:
      UserError: a folder or a partner is missing, two images share a name, or labels.json is not as above. Reading an
        example raises it for a damaged file, a mask of another size than its image, and an id outside the label set.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        split: str | None = None,
        label_set: LabelSet | None = None,
        *,
        require_masks: bool = True,
    ):
        self._root = _find_root(Path(directory), split)
        images = _by_stem(self._root / "images", IMAGE_SUFFIXES)
        if not images:
            raise UserError(f"'{self._root / 'images'}' holds no {', '.join(IMAGE_SUFFIXES)} file: put photos there")
        self.names = tuple(sorted(images))
        self._files: tuple[tuple[str, str | None], ...] = tuple((images[name], None) for name in self.names)
        if require_masks or (self._root / "masks").is_dir():
            masks = _by_stem(self._root / "masks", (".png",))
            _check_partners(images.keys() - masks.keys(), "image", self._root / "masks", "mask of the same name (.png)")
            _check_partners(masks.keys() - images.keys(), "mask", self._root / "images", "image of the same name")
            self._files = tuple((images[name], masks[name]) for name in self.names)
        self.label_set = label_set or _read_label_set(self._root, Path(directory))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Example:
        return self._read(index, None)

    def read_reduced(self, index: int, at_least: int) -> Example:
        """See `input_pipeline.sources.ReducedSource`; the mask keeps its size."""
        return self._read(index, at_least)

    def _read(self, index: int, at_least: int | None) -> Example:
        image_name, mask_name = self._files[index]
        image_path = self._root / "images" / image_name
        image = read_image(image_path, at_least=at_least)
        if mask_name is None:
            return {"image": image}
        mask_path = self._root / "masks" / mask_name
        mask = self._read_mask(mask_path)
        # The size in the file's header: the image may have been decoded smaller.
        height, width = image.shape[:2] if at_least is None else image_size(image_path)
        if mask.shape != (height, width):
            raise UserError(
                f"'{mask_path}' has {mask.shape[1]} x {mask.shape[0]} pixels, but its image '{image_name}' has "
                f"{width} x {height}: a mask must have the size of its image"
            )
        return {"image": image, "mask": mask}

    def _read_mask(self, path: Path) -> np.ndarray:
        mask = read_mask(path)
        unknown = (mask >= len(self.label_set)) & (mask != labels.IGNORE)
        if unknown.any():
            raise UserError(
                f"'{path}' holds the class id {mask[unknown].min()}, but label set '{self.label_set.name}' ends at "
                f"{len(self.label_set) - 1} (and {labels.IGNORE} = ignore): correct the mask or name its label set in "
                'labels.json, {"label_set": NAME}'
            )
        return mask


def _find_root(directory: Path, split: str | None) -> Path:
    if not directory.is_dir():
        raise UserError(f"the folder '{directory}' does not exist: check the path")
    root = directory / split if split else directory
    if (root / "images").is_dir():
        return root
    splits = sorted(entry.name for entry in directory.iterdir() if (entry / "images").is_dir())
    if splits:
        problem = f"'{directory}' has no split '{split}'" if split else f"'{directory}' is divided into splits"
        raise UserError(f"{problem}: name one of {', '.join(splits)}, as in 'folder:{directory}?{splits[0]}'")
    raise UserError(f"'{root}' has no folder 'images': a data set is images/ with masks/ beside it")


def _by_stem(directory: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """File names by their stems; hidden files and other suffixes are not looked at."""
    if not directory.is_dir():
        raise UserError(f"the folder '{directory}' does not exist: a data set is images/ with masks/ beside it")
    found: dict[str, str] = {}
    for path in sorted(directory.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in found:
            raise UserError(
                f"'{directory}' holds both '{found[path.stem]}' and '{path.name}': names without suffix must differ"
            )
        found[path.stem] = path.name
    return found


def _check_partners(lonely: Collection[str], kind: str, where: Path, partner: str) -> None:
    if lonely:
        first = ", ".join(f"'{name}'" for name in sorted(lonely)[:3]) + (", ..." if len(lonely) > 3 else "")
        raise UserError(f"{len(lonely)} {kind}(s) have no {partner} in '{where}': {first}; add or remove them")


def _read_label_set(*directories: Path) -> LabelSet:
    for directory in directories:
        path = directory / "labels.json"
        if path.is_file():
            return _parse_label_set(path)
    return labels.CELEBAMASK


def _parse_label_set(path: Path) -> LabelSet:
    form = f"'{path}' must be a JSON object {{\"label_set\": NAME}} with NAME one of {', '.join(labels.LABEL_SETS)}"
    try:
        with path.open("rb") as file:
            content = json.loads(file.read(_MAX_JSON_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise UserError(f"{form} ({error})") from error
    if not isinstance(content, dict) or not isinstance(content.get("label_set"), str):
        raise UserError(form)
    return labels.get(content["label_set"])
