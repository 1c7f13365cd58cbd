"""What the commands `l2s edit VERB` that know persons share: cosines between identities, and what they do not say."""

from l2s_jax.commands import console
from l2s_jax.inference.identity_editor import Cosines

OWN_ENCODER = (
    "cosines are those of the model's own identity encoder, which training pleases: they can rise while the face "
    "breaks, so look at the pictures, and ask another encoder"
)
"""Goes into the JSON and on the terminal wherever a cosine does."""


def report(what: str, cosines: Cosines) -> None:
    """Print the cosines of one result in a line."""
    who, looks, between = cosines
    console.out().print(
        f"{console.escape(what)}  cosine to the person {who:.3f}, to the other picture {looks:.3f} "
        f"[dim](these two {between:.3f})[/]",
        soft_wrap=True,
    )


def remark() -> None:
    """Print what the cosines do not say."""
    console.out().print(f"[dim]{OWN_ENCODER}[/]", soft_wrap=True)
