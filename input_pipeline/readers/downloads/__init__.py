"""Raw downloads, one module per layout; every layout is also a kind of source (`celebamask_hq:DIR?val`)."""

import importlib
from typing import TYPE_CHECKING

from input_pipeline.errors import lookup

if TYPE_CHECKING:  # the command line reads NAMES before anything heavy is imported
    from input_pipeline.readers.downloads.layout import Layout

NAMES = ("celebamask_hq", "facesynthetics", "fasseg", "folder", "helen", "l2s_folders", "lapa")
"""Names of the layouts; each is a module of this package with a `LAYOUT`."""


def get(name: str) -> tuple["Layout", str | None]:
    """Return the layout and variant of `NAME` or `NAME/VARIANT`; without a variant the layout's first one.

    Raises:
      UserError: no such layout or variant; the sentence suggests the nearest one.
    """
    base, slash, variant = name.partition("/")
    lookup(dict.fromkeys(NAMES), base, "layout")
    layout: Layout = importlib.import_module(f"input_pipeline.readers.downloads.{base}").LAYOUT
    if not slash:
        return layout, next(iter(layout.variants), None)
    lookup(layout.variants, variant, "variant", of=f"of layout '{base}'")
    return layout, variant
