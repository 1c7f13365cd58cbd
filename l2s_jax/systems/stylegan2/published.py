"""Published generators: what a converted one is, and on which terms.

Files of NVIDIA's releases and of rosinality's PyTorch implementation are read; none were available to us, so that only
weights of our own in their layouts have been converted.
"""

from l2s_jax.systems.base import Head, Published, Weights

WEIGHTS = Weights(
    heads=(
        Head(
            "ffhq",
            "celebamask",
            "FFHQ",
            "It makes faces and parses none: its classes are those of the masks of a training that goes on with it.",
        ),
    ),
    image_size=256,
    licence="non-commercial use only (a generator of {data}; the weights that NVIDIA releases have the NVIDIA Source "
    "Code License, and {data} is CC BY-NC-SA 4.0)",
    paper="arXiv 1912.04958",
)
PUBLISHED = Published(WEIGHTS)
