"""The published landmark regressor, and on which terms."""

from l2s_jax.systems.base import Head, Published, Weights

WEIGHTS = Weights(
    heads=(
        Head(
            "landmarks_68",
            "celebamask",  # it has no classes
            "300-W and similar photos",
            "It was trained on square crops of faces, 112 px: give it such crops.",
        ),
    ),
    image_size=112,
    licence="unknown (github.com/cunjian/pytorch_face_landmark names none; trained on {data}, which are for "
    "non-commercial research only)",
    paper="arXiv 1804.07573",
)
PUBLISHED = Published(WEIGHTS)
