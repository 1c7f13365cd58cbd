"""Turn the numbers of metrics.json into tables and tiles of the page.

The JSON is untrusted: anything may be missing or malformed. Texts are plain; the template escapes them.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from input_pipeline.labels import LabelSet
from l2s_jax.report import swap_triangle
from l2s_jax.report.run_data import is_number
from l2s_jax.systems.base import ActivenessTable, Result

NONE = "–"
_ERRORS = (("l1", 3), ("psnr", 1))


class Cell(NamedTuple):
    """A text of a table; `color` is the `#rrggbb` of the class it names, and a quiet number is not the model's."""

    text: str
    color: str = ""
    quiet: bool = False


class Table(NamedTuple):
    """A table of the page; the first cell of a row names it."""

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]


class Tile(NamedTuple):
    """A headline number with its name and a remark."""

    value: str
    label: str
    note: str


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


def hex_colors(label_set: LabelSet | None) -> dict[str, str]:
    """Return `#rrggbb` by class name."""
    labels = () if label_set is None else label_set.labels
    return {label.name: "#{:02x}{:02x}{:02x}".format(*label.color) for label in labels}


def own_scores(metrics: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float | None]]]:
    """Return the scores of a system that does not segment as tables: title -> row -> column -> score.

    A group of numbers becomes a table with one column, a group of groups of numbers one with a row for each group;
    groups nested deeper become tables of their own. What would be wider than high is turned.
    """
    tables = {}
    for name, content in metrics.items():
        if name not in ("data", "model") and isinstance(content, Mapping):
            tables |= _tables(spoken(name), content)
    return tables


def _tables(title: str, content: Mapping[str, Any]) -> dict[str, dict[str, dict[str, float | None]]]:
    groups = {name: value for name, value in content.items() if isinstance(value, Mapping)}
    deeper = {name for name, group in groups.items() if any(isinstance(value, Mapping) for value in group.values())}
    rows = {name: value for name, value in content.items() if name not in deeper}
    tables = {}
    if rows:
        columns = {name: row if isinstance(row, Mapping) else {"score": row} for name, row in rows.items()}
        tables[title] = _upright(
            {spoken(name): {spoken(key): _finite(value) for key, value in row.items()} for name, row in columns.items()}
        )
    for name in content:
        if name in deeper:
            tables |= _tables(f"{title}: {spoken(name)}", groups[name])
    return tables


def _upright(rows: dict[str, dict[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """Return rows as they are, or columns as rows if there are more of these: pages and terminals scroll downwards."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    if len(columns) <= len(rows):
        return rows
    return {column: {name: row[column] for name, row in rows.items() if column in row} for column in columns}


def spoken(name: Any) -> str:
    """Return a name of metrics.json as words."""
    return str(name).replace("_", " ")


def _finite(value: Any) -> float | None:
    return value if is_number(value) else None


def own_tables(metrics: Mapping[str, Any]) -> list[tuple[str, Table]]:
    """Make the tables of `own_scores`; none if the system segments."""
    if "segmentation" in metrics:
        return []
    found = []
    for title, rows in own_scores(metrics).items():
        columns = list(dict.fromkeys(column for row in rows.values() for column in row))
        cells = [[Cell(name), *(_cell(row.get(column)) for column in columns)] for name, row in rows.items()]
        found.append((title, Table(["", *columns], cells)))
    return found


def class_table(segmentation: Mapping[str, Any], label_set: LabelSet | None, reported: Result | None) -> Table:
    """Make a table of the classes: scores, structure, mean mask's F1, published F1, and share of the pixels."""
    per_class, native = group(segmentation, "per_class"), group(segmentation, "native", "per_class")
    off, boundary = (group(segmentation, name, "per_class") for name in ("components_off", "boundary_f1"))
    mean_mask = group(segmentation, "baselines", "mean_mask", "per_class")
    pixels = sum(number(per_class, name, "pixels") or 0 for name in per_class)
    head = ["class", *_score_names(native), *["boundary F1"] * bool(boundary), *["components off"] * bool(off)]
    head += [*["mean mask F1"] * bool(mean_mask), *["published F1"] * (reported is not None), "share of pixels"]
    rows = []
    for name in per_class:
        area = number(per_class, name, "pixels")
        share = NONE if area is None or not pixels else f"{100 * area / pixels:.2f} %"
        row = [_class(name, label_set), *_scores(per_class, native, name)]
        row += [_cell(number(boundary, name))] if boundary else []
        row += [_cell(number(off, name), 2)] if off else []
        row += [_cell(number(mean_mask, name, "f1"), quiet=True)] if mean_mask else []
        row += [] if reported is None else [_cell(reported.f1.get(name), quiet=True)]
        rows.append([*row, Cell(share)])
    return Table(head, rows)


def merged_table(segmentation: Mapping[str, Any]) -> Table | None:
    """Make a table of scores with left and right merged into one class each; None if there are none."""
    sides, merged = group(segmentation, "per_class"), group(segmentation, "merged", "per_class")
    native = group(segmentation, "native", "merged", "per_class")
    rows = [[Cell(name), *_scores(merged, native, name)] for name in merged if name not in sides]
    return Table(["left and right as one", *_score_names(native)], rows) if rows else None


def _score_names(native: Mapping[str, Any]) -> list[str]:
    return ["F1", "IoU", "precision", "recall", *(["F1 at full size"] if native else [])]


def _scores(per_class: Mapping[str, Any], native: Mapping[str, Any], name: str) -> list[Cell]:
    """Return the cells of one class, in the order of `_score_names`."""
    cells = [_cell(number(per_class, name, key)) for key in ("f1", "iou", "precision", "recall")]
    return [*cells, _cell(number(native, name, "f1"))] if native else cells


def _class(name: str, label_set: LabelSet | None) -> Cell:
    return Cell(name, hex_colors(label_set).get(name, ""))


def _cell(value: float | None, digits: int = 3, quiet: bool = False) -> Cell:
    return Cell(text(value, digits), quiet=quiet)


def reconstruction_table(reconstruction: Mapping[str, Any], label_set: LabelSet | None) -> Table | None:
    """Make a table of L1 and PSNR inside and outside each region, and of the mean face inside; None without data."""
    inside, outside = group(reconstruction, "inside"), group(reconstruction, "outside")
    mean_face = group(reconstruction, "mean_face", "inside")
    rows = [
        [_class(name, label_set)]
        + [_cell(number(side, name, key), digits) for side in (inside, outside) for key, digits in _ERRORS]
        + [_cell(number(mean_face, name, key), digits, quiet=True) for key, digits in _ERRORS if mean_face]
        for name in {**inside, **outside}
    ]
    head = ["region", "L1 inside", "PSNR inside", "L1 outside", "PSNR outside"]
    head += ["mean face L1 inside", "PSNR inside"] if mean_face else []
    return Table(head, rows) if rows else None


_SEPARATION = (
    ("mean F1 of masks from decoded slices", "segmentation_by.decodes.mean_f1", "", ""),
    ("mean F1 of masks from the light head", "segmentation_by.light.mean_f1", "", ""),
    ("mean F1 of masks by the painter rule", "segmentation_by.painter.mean_f1", "", ""),
    ("leakage by probe", "disentanglement.probe_leakage", "own outline", "disentanglement.probe.own_truth"),
    (
        "colours of other regions told by a slice",
        "disentanglement.colour_probe.alone",
        "all slices",
        "disentanglement.colour_probe.whole",
    ),
    ("dependence of slices", "disentanglement.hsic", "shuffled", "disentanglement.hsic_null"),
    ("swaps: change outside over inside", "swap.outside_over_inside", "", ""),
    ("swaps: contrast at the seam over that of true borders", "swap.seam", "", ""),
    ("distance of reconstructions from photos", "realism.reconstructions", "photos", "realism.photos"),
    ("distance of swapped faces from photos", "realism.swaps", "photos", "realism.photos"),
)
"""Name, path in metrics.json, and the name and path of what stands beside it."""


def separation_table(metrics: Mapping[str, Any]) -> Table | None:
    """Make a table of how far slices are apart and what swaps of them look like; None without such measurements."""
    rows = []
    for name, path, title, other in _SEPARATION:
        if (value := number(metrics, *path.split("."))) is None:
            continue
        beside = number(metrics, *other.split(".")) if other else None
        rows.append([Cell(name), _cell(value), Cell("" if beside is None else f"{title} {text(beside)}", quiet=True)])
    return Table(["slices of the code", "score", "beside it"], rows) if rows else None


def slice_table(scores: Mapping[str, Any], label_set: LabelSet | None) -> Table | None:
    """Make a table of own effect and leak of every slice, also without the matte; None without data."""
    total, leak, dead = group(scores, "total"), group(scores, "leak"), dead_slices(scores) or []
    unmatted, levels = group(scores, "without_matte", "leak"), group(scores, "levels")
    rows = []
    for name in {**total, **leak}:
        row = [_class(name, label_set), _cell(number(total, name), 4), _cell(number(leak, name))]
        row += [_cell(number(unmatted, name))] if unmatted else []
        row += [_cell(number(levels, name, key), 1, key == "photos") for key in ("a_deviation", "photos") if levels]
        rows.append([*row, Cell("dead" if name in dead else "alive")])
    head = ["slice", "effect on its own region", "leak", *["leak without the matte"] * bool(unmatted)]
    head += [*["grey levels a deviation", "of the photos"] * bool(levels), "state"]
    return Table(head, rows) if rows else None


def acs_table(scores: Mapping[str, Any]) -> Table | None:
    """Make a table of macro ACS of noise and swaps, and those of a random generator and chance; None without data."""
    chance = number(scores, "chance")
    if chance is None:
        return None
    columns = {"with the matte": (), "without the matte": ("without_matte",)}
    views = {name: path for name, path in columns.items() if group(scores, *path)}
    head = [f"{kind}, {view}" for view in views for kind in ("noise", "swap")]
    rows = []
    for title, path in {"this model": (), "random generator": ("random_generator",)}.items():
        values = [
            number(scores, *path, *view, *kind, "macro_acs") for view in views.values() for kind in ((), ("swap",))
        ]
        rows += [[Cell(title), *map(_cell, values)]] if group(scores, *path) else []
    return Table(["macro ACS", *head], [*rows, [Cell("chance"), *[_cell(chance)] * len(head)]])


_ACTIVENESS = {
    "this model": (),
    "without the matte": ("without_matte",),
    "random generator": ("random_generator",),
    "random generator, without the matte": ("random_generator", "without_matte"),
}
"""Where `disentanglement` has the ACS of each of our rows."""


def activeness_table(metrics: Mapping[str, Any], published: Sequence[ActivenessTable]) -> Table | None:
    """Make a table of ACS: the published ones, and below them ours, each on which faces; None if ours is not known.

    Args:
      metrics: the evaluation.
      published: the tables of papers.
    """
    scores, data = group(metrics, "disentanglement"), group(metrics, "data")
    if number(scores, "acs") is None:
        return None
    rows = [
        [Cell(name), *(Cell(x, quiet=True) for x in (text(acs), text(1 / table.slices), table.data, "the paper"))]
        for table in published
        for name, acs in table.acs.items()
    ]
    spec = data["spec"] if isinstance(data.get("spec"), str) else ""
    for name, path in _ACTIVENESS.items():
        if number(scores, *path, "acs") is None:
            continue
        subset = number(scores, "random_generator", "examples") if "random_generator" in path else None
        count = number(data, "examples") if subset is None else subset
        faces = ", ".join(filter(None, [spec, "" if count is None else f"{text(count, 0)} faces"]))
        acs, chance = (_cell(number(scores, *path, key)) for key in ("acs", "chance"))
        rows.append([Cell(name), acs, chance, Cell(faces), Cell("this run")])
    return Table(["model", "ACS", "chance", "faces", "measured by"], rows)


def triangle_table(donors: Sequence[Sequence[int]], parts: Sequence[str]) -> Table:
    """Make a table of the face that each part of each picture of the swap triangle comes from, row by row.

    Args:
      donors: uint8 [R, K], numbers of faces.
      parts: K names.
    """
    places = [
        f"row {row}, picture {place}"
        for row, members in enumerate(swap_triangle.rows(len(donors)), start=1)
        for place, _ in enumerate(members, start=1)
    ]
    faces = [[Cell(swap_triangle.face_name(face)) for face in row] for row in donors]
    return Table(["picture", *parts], [[Cell(place), *row] for place, row in zip(places, faces, strict=True)])


def dead_slices(scores: Mapping[str, Any]) -> list[str] | None:
    """Return the names of the dead slices; None if they were not looked for."""
    names = scores.get("dead_slices")
    return [str(name) for name in names] if isinstance(names, list) else None


def tiles(metrics: Mapping[str, Any]) -> list[Tile]:
    """Make tiles of the headline numbers; numbers that were not measured have none."""
    segmentation, scores = group(metrics, "segmentation"), group(metrics, "disentanglement")
    reconstruction, data = group(metrics, "reconstruction"), group(metrics, "data")
    made = []

    def add(label: str, value: float | None, note: str, digits: int = 3, **beside: float | None) -> None:
        if value is not None:
            notes = [f"{title.replace('_', ' ')} {text(x, digits)}" for title, x in beside.items() if x is not None]
            made.append(Tile(text(value, digits), label, "; ".join(filter(None, [note, *notes]))))

    for label, key, otherwise in (
        ("mean F1", "mean_f1", "classes without the background"),
        ("mean IoU", "mean_iou", "all classes"),
    ):
        native = number(segmentation, "native", key)
        note = otherwise if native is None else f"{text(native)} at full size"
        add(label, number(segmentation, key), note, mean_mask=number(segmentation, "baselines", "mean_mask", key))
    add("mean F1, merged", number(segmentation, "merged", "mean_f1"), "left and right parts as one class each")
    add("boundary F1", number(segmentation, "boundary_f1", "mean"), "classes without the background")
    add("components off", number(segmentation, "components_off", "total"), "a face; 0 is best", 2)
    beside = {
        "random_generator": number(scores, "random_generator", "macro_acs"),
        "without_the_matte": number(scores, "without_matte", "macro_acs"),
        "by_chance": number(scores, "chance"),
    }
    measured = any(value is not None for value in beside.values())
    note = "" if measured else "how far each slice keeps to its region"
    add("macro ACS", number(scores, "macro_acs"), note, **beside)
    dead = dead_slices(scores)
    if dead is not None:
        made.append(Tile(str(len(dead)), "dead slices", ", ".join(dead) or "every slice has an effect"))
    for label, key, note, digits in (("L1", "l1", "of images in [−1, 1]", 3), ("PSNR", "psnr", "decibels", 1)):
        mean_face = number(reconstruction, "mean_face", key)
        add(label, number(reconstruction, key), note, digits, mean_face=mean_face)
    spec = data.get("spec")
    add("faces", number(data, "examples"), spec if isinstance(spec, str) else "", 0)
    return made
