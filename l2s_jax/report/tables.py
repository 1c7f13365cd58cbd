"""Numbers of metrics.json as HTML tables and tiles. The JSON is untrusted: anything may be missing or malformed."""

from collections.abc import Mapping
from html import escape
from typing import Any

from input_pipeline.labels import LabelSet
from l2s_jax.report.run_data import is_number
from l2s_jax.report.template import figure, table, tile
from l2s_jax.systems.base import Result

NONE = "–"


def group(tree: Any, *path: str) -> Mapping[str, Any]:
    """Return the nested mapping at `path`, or an empty one."""
    for key in path:
        tree = tree.get(key) if isinstance(tree, Mapping) else None
    return tree if isinstance(tree, Mapping) else {}


def number(tree: Any, *path: str) -> float | None:
    """Return the finite number at `path` of nested mappings, or None."""
    *parents, leaf = path
    value = group(tree, *parents).get(leaf)
    return value if is_number(value) else None


def text(value: float | None, digits: int = 3) -> str:
    """Format a number: `digits` decimals, two significant figures if it is very small; a dash for None."""
    if value is None:
        return NONE
    return f"{value:.2g}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:,.{digits}f}"


def swatch(name: str, label_set: LabelSet | None) -> str:
    """Return a class name with its colour, if it has one: escaped HTML."""
    colors = hex_colors(label_set)
    chip = f'<i class="swatch" style="background:{colors[name]}"></i>' if name in colors else ""
    return chip + escape(name)


def hex_colors(label_set: LabelSet | None) -> dict[str, str]:
    """Return `#rrggbb` by class name."""
    labels = () if label_set is None else label_set.labels
    return {label.name: "#{:02x}{:02x}{:02x}".format(*label.color) for label in labels}


def class_table(segmentation: Mapping[str, Any], label_set: LabelSet | None, reported: Result | None) -> str:
    """Make a table of the classes: scores, mean mask's F1, published F1, and share of the pixels."""
    per_class, native = group(segmentation, "per_class"), group(segmentation, "native", "per_class")
    mean_mask = group(segmentation, "baselines", "mean_mask", "per_class")
    pixels = sum(number(per_class, name, "pixels") or 0 for name in per_class)
    rows = []
    for name in per_class:
        area = number(per_class, name, "pixels")
        share = NONE if area is None or not pixels else f"{100 * area / pixels:.2f} %"
        beside = [_quiet(number(mean_mask, name, "f1"))] if mean_mask else []
        beside += [] if reported is None else [_quiet(reported.f1.get(name))]
        rows.append([swatch(name, label_set), *_scores(per_class, native, name), *beside, share])
    beside = [*["mean mask F1"] * bool(mean_mask), *["published F1"] * (reported is not None)]
    grid = table(["class", *_score_names(native), *beside, "share of pixels"], rows)
    return grid if reported is None else figure(grid, escape(reported.caption))


def _quiet(value: float | None, digits: int = 3) -> str:
    """Format a number that is not the model's, in muted colour."""
    return f'<span class="quiet">{text(value, digits)}</span>'


def merged_table(segmentation: Mapping[str, Any]) -> str:
    """Make a table of scores with left and right merged into one class each; empty if there are none."""
    sides, merged = group(segmentation, "per_class"), group(segmentation, "merged", "per_class")
    native = group(segmentation, "native", "merged", "per_class")
    rows = [[escape(name), *_scores(merged, native, name)] for name in merged if name not in sides]
    return table(["left and right as one", *_score_names(native)], rows) if rows else ""


def _score_names(native: Mapping[str, Any]) -> list[str]:
    return ["F1", "IoU", "precision", "recall", *(["F1 at full size"] if native else [])]


def _scores(per_class: Mapping[str, Any], native: Mapping[str, Any], name: str) -> list[str]:
    """Return the cells of one class, in the order of `_score_names`."""
    cells = [text(number(per_class, name, key)) for key in ("f1", "iou", "precision", "recall")]
    return [*cells, text(number(native, name, "f1"))] if native else cells


def reconstruction_table(reconstruction: Mapping[str, Any], label_set: LabelSet | None) -> str:
    """Make a table of L1 and PSNR inside and outside each region, and of the mean face inside; empty without data."""
    inside, outside = group(reconstruction, "inside"), group(reconstruction, "outside")
    mean_face = group(reconstruction, "mean_face", "inside")
    rows = [
        [swatch(name, label_set)]
        + [text(number(side, name, key), digits) for side in (inside, outside) for key, digits in _ERRORS]
        + [_quiet(number(mean_face, name, key), digits) for key, digits in _ERRORS if mean_face]
        for name in {**inside, **outside}
    ]
    head = ["region", "L1 inside", "PSNR inside", "L1 outside", "PSNR outside"]
    head += ["mean face L1 inside", "PSNR inside"] if mean_face else []
    return table(head, rows) if rows else ""


_ERRORS = (("l1", 3), ("psnr", 1))


def slice_table(scores: Mapping[str, Any], label_set: LabelSet | None) -> str:
    """Make a table of own effect and leak of every slice, also without the matte; empty without data."""
    total, leak, dead = group(scores, "total"), group(scores, "leak"), dead_slices(scores)
    unmatted = group(scores, "without_matte", "leak")
    rows = [
        [
            swatch(name, label_set),
            text(number(total, name), 4),
            text(number(leak, name)),
            *[text(number(unmatted, name))] * bool(unmatted),
            "dead" if name in dead else "alive",
        ]
        for name in {**total, **leak}
    ]
    extra = ["leak without the matte"] * bool(unmatted)
    return table(["slice", "effect on its own region", "leak", *extra, "state"], rows) if rows else ""


def acs_table(scores: Mapping[str, Any]) -> str:
    """Make a table of macro ACS of noise and swaps, and those of a random generator and chance; empty without data."""
    columns = {"with the matte": (), "without the matte": ("without_matte",)}
    found = {name: path for name, path in columns.items() if group(scores, *path)}
    rows = []
    for title, path in {"this model": (), "random generator": ("random_generator",)}.items():
        values = [
            number(scores, *path, *view, *kind, "macro_acs") for view in found.values() for kind in ((), ("swap",))
        ]
        rows += [[title, *map(text, values)]] if group(scores, *path) else []
    chance = number(scores, "chance")
    if chance is None:
        return ""
    head = [f"{kind}, {view}" for view in found for kind in ("noise", "swap")]
    return table(["macro ACS", *head], [*rows, ["chance", *[text(chance)] * len(head)]])


def dead_slices(scores: Mapping[str, Any]) -> list[str]:
    """Return the names of the dead slices."""
    names = scores.get("dead_slices")
    return [str(name) for name in names] if isinstance(names, list) else []


def tiles(metrics: Mapping[str, Any], label_set: LabelSet | None) -> str:
    """Make tiles of the headline numbers; numbers that were not measured have none."""
    segmentation, scores = group(metrics, "segmentation"), group(metrics, "disentanglement")
    reconstruction, data = group(metrics, "reconstruction"), group(metrics, "data")
    made = []

    def add(value: float | None, label: str, note: str, digits: int = 3) -> None:
        if value is not None:
            made.append(tile(text(value, digits), label, note))

    def full_size(key: str, otherwise: str) -> str:
        native, mean_mask = number(segmentation, "native", key), number(segmentation, "baselines", "mean_mask", key)
        note = otherwise if native is None else f"{text(native)} at full size"
        return note if mean_mask is None else f"{note}; mean mask {text(mean_mask)}"

    add(number(segmentation, "mean_f1"), "mean F1", full_size("mean_f1", "classes without the background"))
    add(number(segmentation, "mean_iou"), "mean IoU", full_size("mean_iou", "all classes"))
    merged = number(segmentation, "merged", "mean_f1")
    add(merged, "mean F1, merged", "left and right parts as one class each")
    beside = {
        "random generator": number(scores, "random_generator", "macro_acs"),
        "without the matte": number(scores, "without_matte", "macro_acs"),
        "by chance": number(scores, "chance"),
    }
    notes = [f"{title} {text(value)}" for title, value in beside.items() if value is not None]
    add(number(scores, "macro_acs"), "macro ACS", "; ".join(notes) or "how far each slice keeps to its region")
    if isinstance(scores.get("dead_slices"), list):
        dead = dead_slices(scores)
        note = escape(", ".join(dead)) if dead else "every slice has an effect"
        made.append(tile(str(len(dead)), "dead slices", note))

    def mean_face(note: str, key: str, digits: int) -> str:
        value = number(reconstruction, "mean_face", key)
        return note if value is None else f"{note}; mean face {text(value, digits)}"

    add(number(reconstruction, "l1"), "L1", mean_face("of images in [−1, 1]", "l1", 3))
    add(number(reconstruction, "psnr"), "PSNR", mean_face("decibels", "psnr", 1), 1)
    spec = data.get("spec")
    add(number(data, "examples"), "faces", escape(spec) if isinstance(spec, str) else "", 0)
    return f'<div class="tiles">{"".join(made)}</div>' if made else ""
