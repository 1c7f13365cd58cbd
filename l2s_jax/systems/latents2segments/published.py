"""The authors' published weights, and the scores of Tables 1 and 2 (arXiv 2207.01871)."""

from l2s_jax.systems.base import ActivenessTable, Head, Published, Result, Weights

_L2S_REGIONS = (
    Result(
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
_ACTIVENESS = ActivenessTable(
    "Table 1",
    "Tomar and Rajagopalan, CVPR Workshops 2022",
    "CelebAMask-HQ, 862 faces that show all five regions",
    "They add noise of 0.01 to codes of length 1, ours follows the deviation of each slice; the authors' code of this "
    "score is not published.",
    128,
    5,
    {
        "pixel2style2pixel": 0.189,
        "StyleGAN2-ADA with projection": 0.194,
        "Swapping Autoencoder": 0.259,
        "Latents2Segments": 0.819,
    },
)
_SLICES_ALONE = (
    "Its masks are where decoded regions are not black. A Swapping Autoencoder that was never trained on regions has "
    "the same tensors, and its masks mean nothing: start a training from it instead (model.init_from)."
)

WEIGHTS = Weights(
    heads=(
        Head("five_regions", "l2s_regions", "CelebAMask-HQ", _SLICES_ALONE),
        Head("hair_skin", "hair_skin", "Helen", _SLICES_ALONE),
    ),
    image_size=128,
    licence="non-commercial use only (trained on {data} by the authors of Latents2Segments, from weights of "
    "Swapping Autoencoder under the Adobe Research Licence)",
    paper="arXiv 2207.01871",
)

PUBLISHED = Published(WEIGHTS, {"l2s_regions": _L2S_REGIONS}, (_ACTIVENESS,))
