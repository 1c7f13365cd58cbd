"""What a trained model may be used for: the terms of all that it learned from go with it."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from input_pipeline import files, licences, types
from input_pipeline.errors import UserError
from input_pipeline.specs import parse_mixture
from input_pipeline.types import Weighted
from l2s_jax import bundle

FILE = "licences.json"
"""In a workdir: licences by what they are of, so that a run that goes on remembers models that are gone."""
MAX_BYTES = 1 << 20

_TORCH = "unknown: weights from a file keep the terms of who trained them"


def of_training(mixture: str, parts: Sequence[Weighted], models: Sequence[str]) -> dict[str, str]:
    """The licences of all that a training learns from, by spec and by model.

    Args:
      mixture: `config.data.train`.
      parts: its sources, in order.
      models: `System.learns_from`; one that is not there has no entry.
    """
    specs = [spec for _, spec in parse_mixture(mixture)]
    found = {spec: types.licence(part.source) for spec, part in zip(specs, parts, strict=True)}
    for name in models:
        licence = _of_model(name)
        found |= {} if licence is None else {name: licence}
    return found


def _of_model(name: str) -> str | None:
    if Path(name).is_file():
        return _TORCH
    try:
        return licences.tidy(bundle.read_meta(bundle.resolve(name)).licence)
    except UserError:  # training tells of a model that it needs; one that gave first weights long ago may be gone
        return None


def remember(workdir: Path, found: Mapping[str, str], models: Sequence[str]) -> dict[str, str]:
    """Licences as `of_training` finds them, and as earlier runs in the workdir found them; the file is written anew.

    Of two for one thing the stricter counts; a model that is not there and never was has unknown terms.

    Raises:
      UserError: the file cannot be written.
    """
    path = workdir / FILE
    before = _read(path)
    stated = {name: [each[name] for each in (before, found) if name in each] for name in before | found}
    known = {name: licences.strictest(texts) for name, texts in stated.items()}
    files.replace_json(path, known)
    return dict.fromkeys(models, licences.UNKNOWN) | known


def _read(path: Path) -> dict[str, str]:
    """What is readable of the file, which can make licences stricter and no milder."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: licences.tidy(value) for key, value in content.items()} if isinstance(content, dict) else {}
