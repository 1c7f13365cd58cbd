"""The authors' published weights, and the scores of their notebook (arXiv 1911.00957)."""

from l2s_jax.systems.base import Head, Published, Weights, at_sizes

_CONSENSUS_PART_LABELS = at_sizes(
    "Structure via Consensus",
    "Masi et al., CVPR 2020, released weights",
    "Part Labels, 927 faces",
    "At either size the network sees 128 px.",
    (128, 250),
    {"background": (97.83, 97.73), "skin": (95.08, 94.75), "hair": (86.26, 85.75)},
    (90.67, 90.25),
    (87.406, 86.873),
)

WEIGHTS = Weights(
    heads=(
        Head(
            "part_labels",
            "skin_hair",
            "Part Labels",
            "It was trained on photos of Labeled Faces in the Wild, square with the face in the middle.",
        ),
        Head("cofw", "face_occlusion", "COFW", ""),
    ),
    image_size=128,
    licence="academic and non-commercial use only (trained on {data} by the authors of Structure via Consensus)",
    paper="arXiv 1911.00957",
)

PUBLISHED = Published(WEIGHTS, {"skin_hair": _CONSENSUS_PART_LABELS})
