"""Selection of faces that show all of the given classes as published methods do (Latents2Segments: five regions)."""

from collections.abc import Sequence

import numpy as np

from input_pipeline import labels
from input_pipeline.errors import UserError, lookup
from input_pipeline.labels import LabelSet
from input_pipeline.selection import Selection, presence
from input_pipeline.types import Source


class FacesShowing(Selection):
    """The examples of a source whose masks show every one of some classes, by at least one pixel.

    Args:
      source: any source; records store which classes each face shows, other sources have every mask read once.
      label_set: of the classes; a face shows one if it has any class that maps to it.
      names: of the classes.

    Raises:
      UserError: an unknown class, masks that cannot be mapped, or no example left.
    """

    def __init__(self, source: Source, label_set: LabelSet, names: Sequence[str]):
        ids = {label.name: label.id for label in label_set.labels}
        wanted = [lookup(ids, name, f"class of label set '{label_set.name}'") for name in names]
        table = labels.remap(source.label_set, label_set)[: len(source.label_set)]
        shown = presence(source)
        every = np.all([shown[:, table == class_id].any(axis=1) for class_id in wanted], axis=0)
        if not every.any():
            raise UserError(f"none of {len(source)} faces shows all of {', '.join(names)}: require fewer classes")
        super().__init__(source, np.flatnonzero(every))
