"""The files that `l2s parse` writes for one picture: which of them were asked for, what they show, and the JSON."""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from input_pipeline import files
from input_pipeline.labels import LabelSet
from l2s_jax.commands import console, results
from l2s_jax.inference.parser import Parser
from l2s_jax.inference.parsing import Parsing, to_grey

OVERLAY, LABELS, MASK, CUTOUT, FACTS = "_overlay.png", "_labels.png", "_mask.png", "_cutout.png", ".json"
"""Suffixes of the files; the mask of a class called NAME has `_NAME.png`."""

Drawn = Mapping[str, Callable[[Parsing], Image.Image]]
"""What draws each picture, by its suffix, in the order of writing."""


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What the user asked for besides overlay, class ids and JSON.

    Attributes:
      regions: of the one mask and of the cutout; none: no mask, and a cutout of everything but the background.
      masks: a mask of each class.
      soft: masks and cutouts hold probabilities instead of 0 and 1.
      cutout: the regions on nothing.
      background: RGB; or on this colour.
    """

    regions: tuple[str, ...] = ()
    masks: bool = False
    soft: bool = False
    cutout: bool = False
    background: tuple[int, int, int] | None = None


@dataclasses.dataclass(frozen=True)
class Photo:
    """A photo that was read, and the name of its results.

    Attributes:
      path: as the user named it, or below a folder that the user named.
      name: name of its results, see `results.names`.
      mark: mark of its results, see `results.mark`.
      pixels: uint8 [H, W, 3], upright.
      read_ms: time to read and decode it.
    """

    path: Path
    name: str
    mark: str
    pixels: np.ndarray
    read_ms: float


def pictures(wanted: Wanted, label_set: LabelSet) -> Drawn:
    """Return what draws the pictures that were asked for.

    Raises:
      UserError: the label set has no such region.
    """
    label_set.region(*wanted.regions)
    drawn = {OVERLAY: Parsing.overlay, LABELS: Parsing.palette_image}
    if wanted.regions:
        drawn[MASK] = functools.partial(_mask, names=wanted.regions, soft=wanted.soft)
    if wanted.masks:
        drawn |= {f"_{name}.png": functools.partial(_mask, names=(name,), soft=wanted.soft) for name in label_set.names}
    if wanted.cutout:
        drawn[CUTOUT] = lambda parsing: parsing.cutout(*wanted.regions, soft=wanted.soft, background=wanted.background)
    return drawn


def _mask(parsing: Parsing, names: tuple[str, ...], soft: bool) -> Image.Image:
    return Image.fromarray(to_grey(parsing.probabilities(*names) if soft else parsing.region(*names)))


def main_picture(drawn: Drawn) -> Callable[[Parsing], Image.Image]:
    """Return what draws the one picture for standard output: the cutout, else the mask, else the class ids."""
    return next(drawn[ending] for ending in (CUTOUT, MASK, LABELS) if ending in drawn)


def options(parser: Parser, by: str, wanted: Wanted) -> dict:
    """Return all that the files depend on besides the photo, for the JSON."""
    asked = {name: list(value) if isinstance(value, tuple) else value for name, value in vars(wanted).items()}
    return {"by": by, "clean": parser.clean, "crop": parser.crop, "label_set": parser.label_set.name, **asked}


def write(out: Path, photo: Photo, parsing: Parsing, drawn: Drawn, facts: dict) -> None:
    """Write the files of one photo, the JSON last: if it exists, the pictures are complete.

    Raises:
      UserError: a file cannot be written.
    """
    start = time.perf_counter()
    (out / photo.name).parent.mkdir(parents=True, exist_ok=True)
    for ending, draw in drawn.items():
        files.replace(out / f"{photo.name}{ending}", results.png(draw(parsing), photo.mark))
    facts["timings_ms"]["write"] = round((time.perf_counter() - start) * 1e3, 2)
    files.replace_json(out / f"{photo.name}{FACTS}", {results.JSON_KEY: photo.mark} | facts)


def is_done(out: Path, photo: Path, name: str, endings: list[str], sha256: str, asked: dict) -> bool:
    """Tell whether an earlier run has written all these files, with the same model and options, after the photo.

    Args:
      out, photo, name, endings: as for `results.names`, whose mark the files have.
      sha256: of the model.
      asked: `options`.
    """
    described = out / f"{name}{FACTS}"
    try:
        facts = json.loads(described.read_bytes())
        newer = os.stat(described).st_mtime_ns >= os.stat(photo).st_mtime_ns
    except (OSError, ValueError):
        return False
    same = facts.get("options") == asked and facts.get("model", {}).get("sha256") == sha256
    return newer and same and all((out / f"{name}{ending}").is_file() for ending in endings)


def facts(photo: Photo, parsing: Parsing, parser: Parser, asked: dict, parse_ms: float) -> dict:
    """Return the content of `NAME.json`, but for the mark.

    `area` is a fraction of the photo, `confidence` a mean probability (null: no pixels). `faces` has left, top and side
    of the square around each face, in pixels; null where nobody looked for them. `turn` and `doubt` are those of
    `Parsing`, `licence` is that of `Parser`.
    """
    areas, confidences = parsing.areas(), parsing.confidences()
    return {
        "image": str(photo.path),
        "width": photo.pixels.shape[1],
        "height": photo.pixels.shape[0],
        "label_set": parsing.label_set.name,
        "classes": {
            label.name: {"id": label.id, "area": round(areas[label.name], 6), "confidence": confidences[label.name]}
            for label in parsing.label_set.labels
        },
        "confidence": float(parsing.confidence.mean()),
        "faces": parsing.faces,
        "turn": parsing.turn,
        "doubt": parsing.doubt,
        "clean": parser.clean,
        "options": asked,
        "model": identified(parser),
        "licence": parser.licence,
        "timings_ms": {"read": round(photo.read_ms, 2), "parse": round(parse_ms, 2)},
    }


def identified(parser: Parser) -> dict[str, str]:
    """Return which model it was, for the JSON."""
    meta = parser.model.meta
    return {"name": meta.name, "system": meta.system, "sha256": meta.sha256, "licence": meta.licence}


def line(photo: Photo, parsing: Parsing, parse_ms: float) -> str:
    """Format one line about a photo: size, largest parts, confidence, time, and a warning of an unlikely picture."""
    areas = parsing.areas()
    parts = sorted((n for n in parsing.label_set.names[1:] if areas[n] > 0.0005), key=areas.get, reverse=True)[:5]
    shown = "  ".join(f"{name} {console.percent(areas[name])}" for name in parts) or "only background"
    height, width = parsing.ids.shape
    warnings = doubts(None if parsing.faces is None else len(parsing.faces), parsing.doubt)
    if parsing.turn:
        warnings = f"  [yellow]not upright: turn it by {parsing.turn} degrees clockwise[/]{warnings}"
    return (
        f"{console.escape(photo.name)}  [dim]{width}x{height}[/]  {shown}"
        f"  [dim]confidence {parsing.confidence.mean():.2f}, {parse_ms:.0f} ms[/]{warnings}"
    )


def doubts(faces: int | None, doubt: float | None) -> str:
    """Format the warnings about a picture with this many faces (None: nobody looked) and this `Parsing.doubt`."""
    warnings = "  [yellow]no face found[/]" if faces == 0 else ""
    if doubt is not None and doubt > 1:
        warnings += "  [yellow]unlike the pictures this model learned from: do not trust it[/]"
    return warnings
