"""What the papers report of each class, to be read beside our own scores; nothing here was measured by us."""

import dataclasses
from collections.abc import Mapping, Sequence

from input_pipeline.labels import LabelSet


@dataclasses.dataclass(frozen=True)
class Published:
    """The result of one published model on its authors' test split.

    Attributes:
      title: the model.
      source: authors, place and year.
      data: the faces it was scored on.
      remark: what else keeps the numbers from being compared; a sentence.
      image_size: side of the images, in pixels, at which it was scored.
      f1: in [0, 1] by our class names, rounded as printed; classes that the paper does not list are absent.
      mean_f1: without the background; from the paper, or where it has none, the mean of its rows.
      mean_iou: over all classes and the background, or None where the paper has none.
    """

    title: str
    source: str
    data: str
    remark: str
    image_size: int
    f1: Mapping[str, float]
    mean_f1: float
    mean_iou: float | None

    @property
    def caption(self) -> str:
        """Whose numbers these are, and on which faces: plain text for under a table."""
        means = f"mean F1 {self.mean_f1:.3f}" + ("" if self.mean_iou is None else f", mean IoU {self.mean_iou:.3f}")
        return (
            f"Published F1: {self.title} ({self.source}) at {self.image_size} px, {means}. Numbers of its authors "
            f"on their test split ({self.data}), not measured here; scores of other faces do not compare. {self.remark}"
        )


def find(system: str, label_set: LabelSet, image_size: float, spec: str) -> Published | None:
    """The published result to show beside scores of ours.

    Args:
      system: name of the system that was scored.
      label_set: its classes.
      image_size: its resolution. Of several published ones the nearest is taken, of two as near the smaller.
      spec: source of the faces that were scored. Nothing published compares with drawn faces.

    Returns:
      the result, or None where no paper has one for these classes.
    """
    if spec.startswith("synthetic:"):
        return None
    results = RESULTS.get((system, label_set.name), ())
    return min(results, key=lambda result: abs(result.image_size - image_size), default=None)


def _at_sizes(
    title: str,
    source: str,
    data: str,
    remark: str,
    sizes: Sequence[int],
    f1: Mapping[str, Sequence[float]],
    mean_f1: Sequence[float],
    mean_iou: Sequence[float],
) -> tuple[Published, ...]:
    """One result for each column of a table in per cent."""
    columns = {name: _fractions(row) for name, row in f1.items()}
    return tuple(
        Published(title, source, data, remark, size, {name: row[i] for name, row in columns.items()}, mean, iou)
        for i, (size, mean, iou) in enumerate(zip(sizes, _fractions(mean_f1), _fractions(mean_iou), strict=True))
    )


def _fractions(per_cent: Sequence[float]) -> list[float]:
    return [value / 100 for value in per_cent]


_SEGFACE = "SegFace with Swin-B", "Narayan et al., AAAI 2025"
_SEGFACE_SIZES = 224, 256, 448, 512

_SEGFACE_CELEBAMASK = _at_sizes(
    *_SEGFACE,
    "CelebAMask-HQ, 2,824 faces",
    "Necklace, earring and glasses depend on the order in which the data set's masks are painted, too.",
    _SEGFACE_SIZES,
    {
        "skin": (96.4, 96.5, 96.6, 96.7),
        "nose": (93.8, 93.9, 94.1, 94.2),
        "eye_g": (94.0, 94.3, 95.0, 95.4),
        "l_eye": (90.1, 90.2, 90.8, 90.9),
        "r_eye": (90.2, 90.5, 90.9, 91.1),
        "l_brow": (86.0, 86.3, 87.0, 87.2),
        "r_brow": (86.0, 86.4, 86.9, 87.1),
        "l_ear": (88.2, 88.5, 89.2, 89.3),
        "r_ear": (87.5, 88.0, 88.6, 88.9),
        "mouth": (92.2, 92.4, 92.9, 93.1),
        "u_lip": (89.4, 89.6, 90.0, 90.3),
        "l_lip": (90.7, 90.9, 91.3, 91.6),
        "hair": (95.7, 95.8, 96.0, 96.0),
        "hat": (89.6, 89.7, 89.9, 89.3),
        "ear_r": (71.1, 72.0, 74.5, 75.1),
        "neck_l": (52.6, 52.8, 62.0, 63.4),
        "neck": (91.5, 91.5, 92.0, 92.1),
        "cloth": (89.5, 88.7, 90.0, 89.8),
    },
    (87.47, 87.66, 88.77, 88.96),
    (79.65, 79.91, 81.30, 81.55),
)

_SEGFACE_LAPA = _at_sizes(
    *_SEGFACE,
    "LaPa, 2,000 faces",
    "The faces were aligned by their true landmarks.",
    _SEGFACE_SIZES,
    {
        "skin": (97.5, 97.5, 97.7, 97.7),
        "hair": (95.4, 95.7, 96.2, 96.3),
        "nose": (97.3, 97.3, 97.5, 97.5),
        # The paper's "L-Eye" is LaPa's id 4, the image's left (see `labels`): the subject's right.
        "r_eye": (91.9, 92.2, 92.6, 92.6),
        "l_eye": (92.1, 92.2, 92.7, 92.7),
        "r_brow": (90.9, 91.0, 91.6, 91.6),
        "l_brow": (90.8, 90.8, 91.4, 91.4),
        "l_lip": (89.9, 90.0, 90.5, 90.5),
        "mouth": (90.8, 91.0, 91.4, 91.2),
        "u_lip": (88.3, 88.4, 88.8, 88.7),
    },
    (92.50, 92.61, 93.03, 93.03),
    (87.26, 87.45, 88.13, 88.14),
)

_L2S_REGIONS = (
    Published(
        "Latents2Segments",
        "Tomar and Rajagopalan, CVPR Workshops 2022",
        "CelebAMask-HQ, 862 faces that show all five regions",
        "How the data set's masks became the five regions is not published.",
        128,
        {"hair": 0.7803, "skin": 0.8532, "nose": 0.7605, "eyes": 0.578, "lips": 0.6715},
        0.7287,
        None,
    ),
)

_CONSENSUS_PART_LABELS = _at_sizes(
    "Structure via Consensus",
    "Masi et al., CVPR 2020, released weights",
    "Part Labels, 927 faces",
    "At either size the network sees 128 px.",
    (128, 250),
    {"background": (97.83, 97.73), "skin": (95.08, 94.75), "hair": (86.26, 85.75)},
    (90.67, 90.25),
    (87.406, 86.873),
)

RESULTS: Mapping[tuple[str, str], tuple[Published, ...]] = {
    # Three orders of the same classes, each with the masks as its own code base paints them.
    **{("segface", order): _SEGFACE_CELEBAMASK for order in ("celebamask", "farl19", "bisenet19")},
    ("segface", "lapa"): _SEGFACE_LAPA,
    ("latents2segments", "l2s_regions"): _L2S_REGIONS,
    ("structure_via_consensus", "skin_hair"): _CONSENSUS_PART_LABELS,
}
"""(system, label set) -> results, in order of `image_size`.

Sources: SegFace, arXiv 2412.08647, the tables of CelebAMask-HQ and LaPa (its Helen weights have no published scores);
Latents2Segments, arXiv 2207.01871, Table 2; Structure via Consensus, arXiv 1911.00957, the notebook of its code.
"""
