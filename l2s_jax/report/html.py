"""`report.html`: all results of a run on one self-contained page."""

import base64
import json
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from input_pipeline import files
from l2s_jax import systems
from l2s_jax.report import captions, plots, tables
from l2s_jax.report.curves import ORDER, curves
from l2s_jax.report.figures import draw_panels
from l2s_jax.report.run_data import Evidence, read, slice_labels
from l2s_jax.report.template import Section, figure, page
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
    evidence = read(workdir)
    panels = {} if evidence.label_set is None else draw_panels(evidence.arrays, evidence.label_set)
    if panels:
        folder = files.writable_folder(workdir / "panels")
        for name, png in panels.items():
            files.replace(folder / f"{name}.png", png)
    path = workdir / "report.html"
    files.replace(path, render(evidence, panels).encode(errors="replace"))
    return path


def render(evidence: Evidence, panels: Mapping[str, bytes]) -> str:
    """Return the page as text.

    Args:
      evidence: data of the workdir.
      panels: PNG bytes by panel name, see `figures.draw_panels`.

    Returns:
      str, a complete HTML document; all text that comes from files is escaped.
    """
    parts = [
        Section("summary", "Summary", _summary(evidence)),
        Section("faces", "Masks", _panel(panels, "segmentation")),
        Section("classes", "Classes", _classes(evidence)),
        Section("confusion", "Confusion", _confusion(evidence)),
        Section("reconstruction", "Reconstruction", _reconstruction(evidence, panels)),
        Section("slices", "Slices alone", _panel(panels, "regions")),
        Section("swaps", "Swaps", _panel(panels, "swaps")),
        Section("effect", "Region effect", _effect(evidence)),
        Section("training", "Training", _training(evidence)),
        Section("config", "Config", _config(evidence)),
    ]
    missing = [part.title for part in parts if not part.body]
    notes = Section("terms", "Terms", captions.TERMS + _left_out(evidence, missing))
    return page(*_title(evidence), [*(part for part in parts if part.body), notes])


def _title(evidence: Evidence) -> tuple[str, str]:
    config, data = evidence.config, tables.group(evidence.metrics, "data")
    system = config.get("system")
    facts = [f"classes of {evidence.label_set.name}" if evidence.label_set else None]
    size = tables.number(config, "image_size")
    facts.append(f"{size:.0f} × {size:.0f} pixels" if size else None)
    steps = max((row["step"] for row in evidence.history), default=None)
    facts.append(f"{tables.text(steps, 0)} training steps" if steps else None)
    facts.append(f"measured on {data['spec']}" if isinstance(data.get("spec"), str) else None)
    facts.append(f"licence of the model: {evidence.licence}" if evidence.licence else None)
    return system if isinstance(system, str) else "Face parsing report", " · ".join(filter(None, facts))


def _summary(evidence: Evidence) -> str:
    return tables.tiles(evidence.metrics, evidence.label_set)


def _panel(panels: Mapping[str, bytes], name: str) -> str:
    if name not in panels:
        return ""
    data = base64.b64encode(panels[name]).decode()
    lead, caption = captions.PANELS[name]
    image = f'<img class="photo" alt="{lead}" src="data:image/png;base64,{data}">'
    return f'<p class="lead">{lead}</p>' + figure(image, caption)


def _classes(evidence: Evidence) -> str:
    segmentation = tables.group(evidence.metrics, "segmentation")
    per_class = tables.group(segmentation, "per_class")
    if not per_class:
        return ""
    scores = {name: tuple(tables.number(per_class, name, key) for key in ("f1", "iou")) for name in per_class}
    mean = tables.number(segmentation, "mean_f1")
    colors = tables.hex_colors(evidence.label_set)
    colors.pop("background", None)  # nearly black: invisible on a dark page
    bars = plots.class_bars(scores, colors, mean)
    grid = tables.class_table(segmentation, evidence.label_set, _reported(evidence))
    merged = tables.merged_table(segmentation)
    return figure(bars, captions.CLASSES) + grid + (figure(merged, captions.MERGED) if merged else "")


def _reported(evidence: Evidence) -> Result | None:
    """Return the published scores of the same classes, or None."""
    system, size = evidence.config.get("system"), tables.number(evidence.config, "image_size")
    if evidence.label_set is None or size is None or not isinstance(system, str):
        return None
    spec = tables.group(evidence.metrics, "data").get("spec")
    return systems.published_result(system, evidence.label_set, size, spec if isinstance(spec, str) else "")


def _names(evidence: Evidence, count: int) -> list[str]:
    """Return the class names of a [count, count] matrix; class ids if the label set is not known."""
    return list(evidence.label_set.names) if evidence.label_set else [str(i) for i in range(count)]


def _confusion(evidence: Evidence) -> str:
    matrix = evidence.arrays.get("confusion", np.zeros((0, 0)))
    return figure(plots.confusion(matrix, _names(evidence, len(matrix))), captions.CONFUSION) if matrix.any() else ""


def _reconstruction(evidence: Evidence, panels: Mapping[str, bytes]) -> str:
    errors = tables.group(evidence.metrics, "reconstruction")
    return _panel(panels, "reconstruction") + tables.reconstruction_table(errors, evidence.label_set)


def _effect(evidence: Evidence) -> str:
    scores = tables.group(evidence.metrics, "disentanglement")
    beside, body = tables.acs_table(scores), tables.slice_table(scores, evidence.label_set)
    if beside:
        faces = tables.text(tables.number(scores, "random_generator", "examples"), 0)
        body = figure(beside, captions.ACS_BASELINES.format(faces=faces)) + body
    drawn = {"effect": captions.EFFECT, "effect_unmatted": captions.EFFECT_UNMATTED}
    figures = [_effect_figure(evidence, name, caption) for name, caption in drawn.items()]
    return "".join(figures) + body


def _effect_figure(evidence: Evidence, array: str, caption: str) -> str:
    effect = evidence.arrays.get(array, np.zeros((0, 0)))
    if not effect.any():
        return ""
    names = _names(evidence, len(effect))
    if evidence.label_set is not None:
        names = [label.name for label in slice_labels(evidence.arrays, evidence.label_set)]
    return figure(plots.region_effect(effect, names), caption)


def _training(evidence: Evidence) -> str:
    charts = curves(evidence.history)
    body = ""
    for group in ORDER:
        drawn = [f"<figure><h4>{escape(c.title)}</h4>{c.svg}</figure>" for c in charts if c.group == group]
        if drawn:
            body += f'<h3>{group}</h3><div class="plots{" whole" * (group == "Scores")}">{"".join(drawn)}</div>'
    if not body:
        return ""
    lost = evidence.unreadable_rows
    remark = f" {lost} unreadable line{'s' * (lost > 1)} of metrics.jsonl left out." if lost else ""
    return f'<p class="lead">{captions.TRAINING}{remark}</p>{body}'


def _config(evidence: Evidence) -> str:
    if not evidence.config:
        return ""
    text = escape(json.dumps(evidence.config, indent=2, ensure_ascii=False))
    return f"<details><summary>The resolved config of this run</summary><pre>{text}</pre></details>"


def _left_out(evidence: Evidence, missing: list[str]) -> str:
    if not missing:
        return ""
    reason = "the workdir does not hold what they are made of"
    if evidence.arrays and evidence.label_set is None:
        reason = "config.json does not say which classes the pictures show, or the workdir lacks their data"
    return f'<p class="quiet">Left out: {", ".join(missing)} ({reason}).</p>'
