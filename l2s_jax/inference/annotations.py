"""Write a label map in the forms of other tools: COCO's annotations and the arrays of `supervision.Detections`."""

import numpy as np

from input_pipeline.labels import LabelSet


def coco(ids: np.ndarray, confidence: np.ndarray, label_set: LabelSet, image_id: int, file_name: str) -> dict:
    """Return the content of a COCO file for one image: one annotation a class, the background left out.

    Args:
      ids, confidence: [H, W], as in `Parsing`.
      label_set: classes of the ids; its ids are the categories'.
      image_id, file_name: of the image in the file.

    Returns:
      `images`, `annotations` and `categories`. `bbox` is [x, y, width, height]; `segmentation` an uncompressed
      run-length code, which keeps holes and separate pieces (pycocotools reads it); `score` the mean confidence.
    """
    height, width = ids.shape
    annotations = [
        {
            "id": number,
            "image_id": image_id,
            "category_id": k,
            "bbox": [left, top, right - left, bottom - top],
            "area": int(mask.sum()),
            "iscrowd": 0,
            "segmentation": {"size": [height, width], "counts": _runs(mask)},
            "score": float(confidence[mask].mean()),
        }
        for number, (k, mask, (left, top, right, bottom)) in enumerate(_parts(ids), start=1)
    ]
    return {
        "images": [{"id": image_id, "file_name": file_name, "width": width, "height": height}],
        "annotations": annotations,
        "categories": [{"id": label.id, "name": label.name, "supercategory": "face"} for label in label_set.labels[1:]],
    }


def detections(ids: np.ndarray, confidence: np.ndarray) -> dict[str, np.ndarray]:
    """Return what `supervision.Detections(**detections)` takes: one detection for each of N classes that are shown.

    Returns:
      `xyxy` float32 [N, 4], pixel borders; `mask` bool [N, H, W]; `class_id` int [N]; `confidence` float32 [N], means.
    """
    parts = _parts(ids)
    masks = np.stack([mask for _, mask, _ in parts]) if parts else np.zeros((0, *ids.shape), bool)
    return {
        "xyxy": np.array([box for _, _, box in parts], np.float32).reshape(-1, 4),
        "mask": masks,
        "class_id": np.array([k for k, _, _ in parts], int),
        "confidence": np.array([confidence[mask].mean() for mask in masks], np.float32),
    }


def _parts(ids: np.ndarray) -> list[tuple[int, np.ndarray, tuple[int, int, int, int]]]:
    """Return class, mask and box (left, top, right, bottom) of each class that is shown, but of the background."""
    found = []
    for k in np.unique(ids[ids > 0]):
        mask = ids == k
        columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
        found.append((int(k), mask, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)))
    return found


def _runs(mask: np.ndarray) -> list[int]:
    """Return the lengths of the runs of 0, 1, 0 ..., column after column."""
    flat = mask.ravel(order="F")
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *changes, flat.size]).tolist()
    return [0, *runs] if flat[0] else runs
