"""Write `report.html`: all results of a run on one self-contained page (page.html.jinja)."""

import base64
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined

from input_pipeline import files
from l2s_jax import bundle, systems
from l2s_jax.report import plots, tables
from l2s_jax.report.curves import ORDER, curves
from l2s_jax.report.dependence import dependence_maps
from l2s_jax.report.figures import draw_panels
from l2s_jax.report.run_data import GRID, RunData, read, slice_labels
from l2s_jax.report.svg import PALETTE, Drawing, Titled
from l2s_jax.systems.base import Result


def write_report(workdir: Path) -> Path:
    """Write `report.html` and the images `panels/NAME.png` of a workdir (docs/architecture.md).

    Sections whose data are missing are left out, and the page says so.

    Args:
      workdir: folder with metrics.json or metrics.jsonl; optional config.json, evaluation.npz.

    Returns:
      the path of the page.

    Raises:
      UserError: there is nothing to report on, a file is damaged, or the folder cannot be written.
    """
    workdir = Path(workdir)
    data = read(workdir)
    panels = {} if data.label_set is None else draw_panels(data.arrays, data.label_set)
    if panels:
        folder = files.writable_folder(workdir / "panels")
        for name, png in panels.items():
            files.replace(folder / f"{bundle.safe_name(name)}.png", png)
    path = workdir / "report.html"
    files.replace(path, render(data, panels).encode(errors="replace"))
    return path


def render(data: RunData, panels: Mapping[str, bytes]) -> str:
    """Return the page as text.

    Args:
      data: what the workdir holds.
      panels: PNG bytes by panel name, see `figures.draw_panels`.

    Returns:
      str, a complete HTML document; all text that comes from files is escaped.
    """
    segmentation, reconstruction, disentanglement = (
        tables.group(data.metrics, name) for name in ("segmentation", "reconstruction", "disentanglement")
    )
    charts, published_activeness = curves(data.history), systems.published_activeness()
    system = data.config.get("system")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    page = resources.files("l2s_jax.report").joinpath("page.html.jinja").read_text(encoding="utf-8")
    return environment.from_string(page).render(
        title=system if isinstance(system, str) else "Face parsing report",
        facts=_facts(data),
        palette=PALETTE,
        panels={name: base64.b64encode(png).decode() for name, png in panels.items()},
        tiles=tables.tiles(data.metrics),
        own_tables=tables.own_tables(data.metrics),
        grids=[name.removeprefix(GRID) for name in data.arrays if name.startswith(GRID)],
        **_classes(data, segmentation),
        confusion=_confusion(data),
        errors=tables.reconstruction_table(reconstruction, data.label_set),
        effect_maps=_effects(data),
        effect_scale=plots.effect_scale(),
        activeness=tables.activeness_table(data.metrics, published_activeness),
        activeness_captions=[table.caption for table in published_activeness],
        dependence=dependence_maps(disentanglement),
        dependence_scale=plots.dependence_scale(),
        donors=_donors(data),
        acs=tables.acs_table(disentanglement),
        random_generator=bool(tables.group(disentanglement, "random_generator")),
        random_faces=tables.text(tables.number(disentanglement, "random_generator", "examples"), 0),
        slices=tables.slice_table(disentanglement, data.label_set),
        separation=tables.separation_table(data.metrics),
        charts={group: [chart for chart in charts if chart.group == group] for group in ORDER},
        unreadable_rows=data.unreadable_rows,
        config=json.dumps(data.config, indent=2, ensure_ascii=False) if data.config else "",
        unknown_classes=bool(data.arrays) and data.label_set is None,
    )


def _facts(data: RunData) -> list[str]:
    """Return what stands under the title."""
    spec, size = tables.group(data.metrics, "data").get("spec"), tables.number(data.config, "image_size")
    steps = max((row["step"] for row in data.history), default=None)
    facts = [
        f"classes of {data.label_set.name}" if data.label_set else "",
        f"{size:.0f} × {size:.0f} pixels" if size else "",
        f"{tables.text(steps, 0)} training steps" if steps else "",
        f"measured on {spec}" if isinstance(spec, str) else "",
        f"licence of the model: {data.licence}" if data.licence else "",
    ]
    return [fact for fact in facts if fact]


def _classes(data: RunData, segmentation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the section of the classes shows."""
    per_class, published = tables.group(segmentation, "per_class"), _published(data)
    if not per_class:
        return dict.fromkeys(("bars", "classes", "published", "merged"))
    scores = {name: tuple(tables.number(per_class, name, key) for key in ("f1", "iou")) for name in per_class}
    colors = tables.hex_colors(data.label_set)
    colors.pop("background", None)  # nearly black: invisible on a dark page
    return {
        "bars": plots.class_bars(scores, colors, tables.number(segmentation, "mean_f1")),
        "classes": tables.class_table(segmentation, data.label_set, published),
        "published": None if published is None else published.caption,
        "merged": tables.merged_table(segmentation),
    }


def _published(data: RunData) -> Result | None:
    """Return the published scores of the same classes, or None."""
    system, size = data.config.get("system"), tables.number(data.config, "image_size")
    if data.label_set is None or size is None or not isinstance(system, str):
        return None
    spec = tables.group(data.metrics, "data").get("spec")
    return systems.published_result(system, data.label_set, size, spec if isinstance(spec, str) else "")


def _confusion(data: RunData) -> Drawing | None:
    """Draw the confusion matrix, its classes named by their ids if the label set is not known; None without it."""
    matrix = data.arrays.get("confusion", np.zeros((0, 0)))
    if not matrix.any():
        return None
    names = [str(i) for i in range(len(matrix))] if data.label_set is None else data.label_set.names
    return plots.confusion(matrix, names)


def _effects(data: RunData) -> dict[str, list[Titled]]:
    """Draw the region effects of the model and of a random generator, with and without the matte, as far as known."""
    models = {"this model": "effect", "random generator": "random_effect"}
    views = {"with the matte": "", "without the matte": "_unmatted"}
    found = {
        view: [
            Titled(model, plots.region_effect(matrix, _parts(data, len(matrix)), f"region effect, {model}, {view}"))
            for model, name in models.items()
            if (matrix := data.arrays.get(name + ending, np.zeros((0, 0)))).any()
        ]
        for view, ending in views.items()
    }
    return {view: drawings for view, drawings in found.items() if drawings}


def _donors(data: RunData) -> tables.Table | None:
    """Return the table of the swap triangle, or None without a triangle."""
    donors = data.arrays.get("triangle_donors")
    if data.label_set is None or donors is None or "triangle" not in data.arrays:
        return None
    return tables.triangle_table(donors.tolist(), _parts(data, donors.shape[1]))


def _parts(data: RunData, count: int) -> list[str]:
    """Return the names of the slices, their numbers if the label set is not known."""
    if data.label_set is None:
        return [str(i) for i in range(count)]
    return [label.name for label in slice_labels(data.arrays, data.label_set)]
