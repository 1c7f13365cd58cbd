"""Draw the image panels of an evaluation: masks, reconstructions, slices alone, swapped, combined and moved."""

from collections.abc import Mapping, Sequence

import numpy as np

from input_pipeline.labels import LabelSet
from l2s_jax.report import overlays
from l2s_jax.report.image_grid import fit, png, sheet
from l2s_jax.report.run_data import GRID, slice_labels
from l2s_jax.report.swap_triangle import face_name, swap_triangle

MAX_FACES, MAX_ROWS = 8, 5
_CELL, _SHEET_WIDTH = 128, 1440  # pixels; the panels are embedded in the HTML page, so they stay small
_DIFFERENCE_GAIN = 4


def draw_panels(arrays: Mapping[str, np.ndarray], label_set: LabelSet) -> dict[str, bytes]:
    """Draw every panel for which the arrays are present.

    Args:
      arrays: arrays of `evaluation.npz` (docs/architecture.md), any subset.
      label_set: classes of the masks, regions and swaps.

    Returns:
      PNG bytes by panel name: `segmentation`, `reconstruction`, `regions`, `swaps`, `triangle`, `traversals`, and the
      titles of grids.
    """
    slices = [label.name for label in slice_labels(arrays, label_set)]
    panels = {}
    if {"image", "prediction"} <= set(arrays):
        panels["segmentation"] = segmentation(arrays, label_set)
    if {"image", "reconstruction"} <= set(arrays):
        panels["reconstruction"] = reconstruction(arrays["image"], arrays["reconstruction"])
    if {"image", "regions"} <= set(arrays):
        panels["regions"] = regions(arrays["image"], arrays["regions"], slices)
    if {"image", "swaps"} <= set(arrays):
        panels["swaps"] = swaps(arrays["image"], arrays["swaps"], slices)
    if {"triangle", "triangle_donors"} <= set(arrays):
        panels["triangle"] = swap_triangle(arrays["triangle"], arrays["triangle_donors"], slices)
    if {"traversals", "traversal_positions"} <= set(arrays):
        panels["traversals"] = traversals(arrays["traversals"], arrays["traversal_positions"], slices)
    panels |= {name.removeprefix(GRID): grid(array) for name, array in arrays.items() if name.startswith(GRID)}
    return {name: png(panel) for name, panel in panels.items()}


def grid(pictures: np.ndarray) -> np.ndarray:
    """Draw a grid of pictures uint8 [rows, columns, H, W, 3] -> uint8 [*, *, 3]."""
    cell = _cell(columns=pictures.shape[1])
    return sheet([[fit(picture, cell) for picture in row] for row in pictures])


def segmentation(arrays: Mapping[str, np.ndarray], label_set: LabelSet) -> np.ndarray:
    """Draw masks: columns are faces; rows are input, prediction and, if given, truth, errors, doubt (bright = unsure).

    Args:
      arrays: `image` uint8 [N, H, W, 3], `prediction` uint8 [N, H, W]; optional `truth`, `confidence` of that shape.
      label_set: the classes.

    Returns:
      uint8 [*, *, 3].
    """
    image = arrays["image"][:MAX_FACES]
    cell = _cell(columns=len(image))
    # Masks are resized as ids BEFORE they are drawn, so that contours stay one sharp pixel at every size.
    faces = [fit(x, cell) for x in image]
    predictions = [fit(x, cell) for x in arrays["prediction"][:MAX_FACES]]
    rows = {
        "input": faces,
        "prediction": [overlays.overlay(x, ids, label_set) for x, ids in zip(faces, predictions, strict=True)],
    }
    present = set(np.unique(predictions))
    width = len(faces) * cell
    footers = []
    if "truth" in arrays:
        truths = [fit(x, cell) for x in arrays["truth"][:MAX_FACES]]
        rows["truth"] = [overlays.overlay(x, ids, label_set) for x, ids in zip(faces, truths, strict=True)]
        triples = zip(predictions, truths, faces, strict=True)
        rows["errors"] = [overlays.error_map(prediction, truth, x) for prediction, truth, x in triples]
        present |= set(np.unique(truths))
        footers = [overlays.swatches(list(overlays.ERROR_KINDS.values()), max(width, 420))]
    if "confidence" in arrays:
        doubt = np.repeat(255 - arrays["confidence"][:MAX_FACES, ..., None], 3, axis=-1)
        rows["doubt"] = [fit(x, cell) for x in doubt]
    legend = overlays.legend(label_set, present - {overlays.BACKGROUND}, max(width, 420))
    return sheet(list(rows.values()), list(rows), footers=[legend, *footers])


def reconstruction(image: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """Draw reconstructions: columns are faces; rows are input, reconstruction and their amplified difference.

    Args:
      image: uint8 [N, H, W, 3].
      decoded: uint8 [N, H, W, 3].

    Returns:
      uint8 [*, *, 3].
    """
    image, decoded = image[:MAX_FACES], decoded[:MAX_FACES]
    difference = np.abs(image.astype(np.int16) - decoded).mean(axis=-1, keepdims=True)
    amplified = np.repeat(np.minimum(_DIFFERENCE_GAIN * difference, 255).astype(np.uint8), 3, axis=-1)
    rows = {"input": image, "reconstruction": decoded, f"difference × {_DIFFERENCE_GAIN}": amplified}
    cell = _cell(columns=len(image))
    return sheet([[fit(x, cell) for x in row] for row in rows.values()], list(rows))


def regions(image: np.ndarray, decoded: np.ndarray, slices: Sequence[str]) -> np.ndarray:
    """Draw slices alone: rows are faces; columns are the input and each slice decoded alone.

    Args:
      image: uint8 [N, H, W, 3].
      decoded: uint8 [N, K, H, W, 3].
      slices: names of the K slices.

    Returns:
      uint8 [*, *, 3].
    """
    leads = [[face] for face in image[:MAX_ROWS]]
    return _by_slice(leads, ("input",), decoded, slices)


def swaps(image: np.ndarray, swapped: np.ndarray, slices: Sequence[str]) -> np.ndarray:
    """Draw swaps: rows are faces; columns are the face, its donor, and the face with one slice of the donor each.

    Args:
      image: uint8 [N, H, W, 3].
      swapped: uint8 [N, K, H, W, 3], face n with slice k of face (n + 1) mod N.
      slices: names of the K slices.

    Returns:
      uint8 [*, *, 3].
    """
    donors = np.roll(image, -1, axis=0)
    leads = [[face, donor] for face, donor in zip(image[:MAX_ROWS], donors, strict=False)]
    return _by_slice(leads, ("face", "donor"), swapped, slices)


def traversals(frames: np.ndarray, positions: np.ndarray, slices: Sequence[str]) -> np.ndarray:
    """Draw traversals: rows are slices; columns are the first face with that slice on its way to those of other faces.

    Args:
      frames: uint8 [K, F, H, W, 3].
      positions: float32 [F], where each frame is: 0 at the first face's slice, 1 at the second's ...
      slices: names of the K slices.

    Returns:
      uint8 [*, *, 3].
    """
    titles = [face_name(int(place)) if place == int(place) else "→" for place in positions]
    cell = _cell(columns=max(frames.shape[:2]))  # many slices make a tall sheet: smaller cells keep it small
    return sheet([[fit(frame, cell) for frame in row] for row in frames], list(slices), titles)


def _by_slice(leads: list[list[np.ndarray]], titles: tuple[str, ...], stack: np.ndarray, names: Sequence[str]):
    """Draw rows of leading images followed by the K images of `stack` [N, K, H, W, 3]."""
    cell = _cell(columns=len(titles) + stack.shape[1])
    rows = [[fit(x, cell) for x in (*lead, *slices)] for lead, slices in zip(leads, stack, strict=False)]
    return sheet(rows, column_titles=[*titles, *names])


def _cell(columns: int) -> int:
    return max(32, min(_CELL, _SHEET_WIDTH // columns))
