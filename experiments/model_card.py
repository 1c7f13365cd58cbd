"""Write the card of a parser: what it is, what it was trained on, how well it does, for whom, and how to make it again.

    python experiments/robustness.py MODEL --data 'folder:data/celebamask_mini?val' --json robustness.json
    python experiments/model_card.py MODEL --robustness robustness.json --out NAME.md

Everything comes from the model's own description (`model.json`) and from the scores in the JSON, so that the card
cannot say what was not measured. What people know besides (aims, what was tried and seen) stands at the end of the
card, below a mark, and is kept when the card is written again.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from input_pipeline import files
from input_pipeline.errors import script
from l2s_jax import bundle

PLAIN = "as it is"
"""The condition of unchanged faces in the JSON of the study."""
BY_HAND = "<!-- written by hand from here on -->"
"""Line of a card below which everything is kept."""


def card(meta: bundle.Meta, megabytes: float, study: Mapping) -> Iterator[str]:
    """Yield the paragraphs of the card in Markdown.

    Args:
      meta: the model's description.
      megabytes: size of its tensor file, 10^6 bytes.
      study: content of the JSON of experiments/robustness.py.
    """
    facts, scores = meta.provenance, study["scores"]
    yield f"# {meta.name}"
    yield (
        f"A face parser of {meta.parameters / 1e6:.2f} M numbers, {megabytes:.1f} MB, {len(meta.label_set)} classes "
        f"(`l2s labels {meta.label_set.name}`) at {meta.preprocessing.image_size} px."
    )
    yield (
        "*Down to the section on confidence, `experiments/model_card.py` writes this page: its numbers are measured, "
        "not typed.*"
    )
    yield f"**Licence of the weights** (the code's is another): {meta.licence}."
    yield _table(
        ("how it was made", ""),
        [
            ("command", f"`{facts.get('command', 'unknown')}`"),
            ("batches", f"{facts.get('steps', 'unknown')} of {meta.config['data']['batch_size']}"),
            ("trained on", f"`{meta.config['data']['train']}`"),
            ("checkpoint chosen on", f"`{meta.config['data']['eval']}`"),
            ("hardware", str(facts.get("hardware", "unknown"))),
            ("date, commit", f"{facts.get('date', 'unknown')}, {facts.get('commit', 'unknown')}"),
            *_calibrated(facts.get("calibration")),
        ],
    )
    yield f"## How well\n\n{study['faces']} faces of `{study['data']}`, one seed of the changes:"
    yield _table(
        ("faces", "mean F1, no background", "course challenge", "seven classes", "hidden pixels called face"),
        [
            (name, *(_number(row[key]) for key in ("mean_f1", "challenge", "merged", "hidden_as_face")))
            for name, row in scores.items()
        ],
    )
    yield (
        "The challenge's F1 is averaged over the classes in each picture, background too, then over pictures. The "
        "seven classes: skin with ears and neck, hair, brows, eyes, nose, lips, mouth. The mean mask sees no picture."
    )
    conditions = [name for name in scores if name != "mean mask"]
    yield _table(
        ("F1", *conditions),
        [
            (label, *(_number(scores[name]["per_class"][label]) for name in conditions))
            for label in meta.label_set.names
        ],
    )
    if calibration := meta.scores.get("metrics", {}).get("segmentation", {}).get("calibration"):
        yield f"## How far to believe it\n\nExpected calibration error {calibration['ece']:.4f} over 15 intervals:"
        yield _table(
            ("confidence", "share that is right", "share of pixels"),
            [(_number(i["confidence"]), _number(i["accuracy"]), f"{i['share']:.4f}") for i in calibration["intervals"]],
        )
    yield BY_HAND


def by_hand(page: Path) -> str:
    """Return what stands below the mark of an earlier card; nothing if there is none."""
    return page.read_text("utf-8").partition(BY_HAND)[2] if page.exists() else "\n"


def _calibrated(note: Mapping | None) -> list[tuple[str, str]]:
    if note is None:
        return []
    return [("calibrated", f"logits divided by {note['temperature']:.3f}, fitted on `{note['fitted_on']}`")]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows))


@script
def main(argv: Sequence[str] | None = None) -> None:
    """Write the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--robustness", type=Path, required=True, help="the JSON of experiments/robustness.py")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    path = bundle.resolve(args.model)
    study = json.loads(args.robustness.read_text())
    size = (path / bundle.TENSOR_FILE).stat().st_size / 1e6
    text = "\n\n".join(card(bundle.read_meta(path), size, study)) + by_hand(args.out)
    files.replace(args.out, text.encode())


if __name__ == "__main__":
    sys.exit(main())
