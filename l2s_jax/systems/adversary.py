"""What systems with a discriminator watch out for: one that teaches nothing."""

from collections.abc import Callable, Mapping

ALWAYS_RIGHT, BLIND = 0.98, 0.52
"""Accuracies of a discriminator between which it teaches something."""


def watch(step: str, weaken: str, strengthen: str) -> Callable[[Mapping[str, float]], str]:
    """Return a `System.watch` that tells of a discriminator that is always right, or that cannot tell.

    Args:
      step: name of the step that trains it; its metric `d_accuracy` is that of `losses.adversarial.accuracy`.
      weaken: what to change where it is always right, as an order.
      strengthen: what to change where it cannot tell.
    """
    metric = f"train/{step}/d_accuracy"

    def told(means: Mapping[str, float]) -> str:
        accuracy = means.get(metric, (ALWAYS_RIGHT + BLIND) / 2)
        right = f"the discriminator is right about {accuracy:.1%} of the pictures"
        if accuracy > ALWAYS_RIGHT:
            return f"{right}: the generator learns little from it; {weaken}"
        if accuracy < BLIND:
            return f"{right}, and chance is 50 %: it is blind; {strengthen}"
        return ""

    return told
