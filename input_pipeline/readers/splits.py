"""The check that data have a split, with the same messages for every kind of data."""

from collections.abc import Sequence

from input_pipeline.errors import UserError


def check_split(kind: str, where: str, split: str, found: Sequence[str]) -> None:
    """Raise UserError unless the data `KIND:WHERE` have a split called `split`.

    Args:
      kind, where: as in a source spec.
      split: the requested split; "" for data without splits.
      found: the existing splits; () for data without splits.
    """
    if split in (found or ("",)):
        return
    if not found:
        raise UserError(f"'{where}' is not divided into splits: leave '?{split}' out, as in '{kind}:{where}'")
    problem = f"has no split '{split}'" if split else "is divided into splits"
    raise UserError(f"'{where}' {problem}: name one of {', '.join(found)}, as in '{kind}:{where}?{found[0]}'")
