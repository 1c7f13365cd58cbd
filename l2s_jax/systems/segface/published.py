"""The authors' published weights for three heads, and the scores of their tables (arXiv 2412.08647)."""

from l2s_jax.systems.base import Head, Published, Weights, at_sizes

_SEGFACE = "SegFace with Swin-B", "Narayan et al., AAAI 2025"
_SEGFACE_SIZES = 224, 256, 448, 512

_SEGFACE_CELEBAMASK = at_sizes(
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

_SEGFACE_LAPA = at_sizes(
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

WEIGHTS = Weights(
    heads=(
        Head("celeb", "farl19", "CelebAMask-HQ", ""),
        Head(
            "lapa",
            "lapa",
            "LaPa",
            "LaPa's network was trained on faces warped by their landmarks: `l2s evaluate` takes those of the data, "
            "`Parser` those you give it; `l2s parse` has none, so photos as they are come out worse.",
        ),
        Head(
            "helen",
            "helen",
            "Helen",
            "Helen's network was trained on faces cut out by their landmarks: `l2s evaluate` cuts those of the data "
            "alike; give `l2s parse` photos that show the face from brows to chin and little more.",
        ),
    ),
    image_size=512,
    licence="non-commercial research (trained on {data} by SegFace's authors, whose code is MIT)",
    paper="arXiv 2412.08647",
)

PUBLISHED = Published(
    WEIGHTS,
    {
        # Three orders of the same classes, each with the mask painting order of the code base that it comes from.
        **dict.fromkeys(("celebamask", "farl19", "bisenet19"), _SEGFACE_CELEBAMASK),
        "lapa": _SEGFACE_LAPA,  # the Helen weights have no published scores
    },
)
