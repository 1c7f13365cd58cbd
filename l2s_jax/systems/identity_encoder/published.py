"""Published identity encoders, and on which terms. Their scores are of photos that are not here."""

from l2s_jax.systems.base import Head, Published, Weights

_FORMAL = "celebamask"  # it has no classes
_ALIGNED = "It was trained on faces aligned by five landmarks, 112 px: give it such crops."

WEIGHTS = Weights(
    heads=(
        Head("ir_se50", _FORMAL, "MS1M", _ALIGNED),
        Head("iresnet", _FORMAL, "the face data sets of InsightFace", _ALIGNED),
    ),
    image_size=112,
    licence="non-commercial research only (trained on {data}; the code of its authors is MIT)",
    paper="arXiv 1801.07698",
)
PUBLISHED = Published(WEIGHTS)
