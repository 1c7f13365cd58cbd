"""Licence of a trained model: it inherits the terms of all data and models it learned from."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from input_pipeline import files, licences, types
from input_pipeline.errors import UserError
from input_pipeline.specs import parse_mixture
from input_pipeline.types import Weighted
from l2s_jax import bundle

FILE = "licences.json"
"""Licences by spec or model name, in a workdir: a resumed run still knows those of models deleted since."""
MAX_BYTES = 1 << 20

_TORCH = "unknown: weights from a file keep the terms of who trained them"


def of_training(mixture: str, parts: Sequence[Weighted], models: Sequence[str]) -> dict[str, str]:
    """Return the licences of all data and models that a training learns from, by spec and by model name.

    Args:
      mixture: `config.data.train`.
      parts: the sources of the mixture, in order.
      models: `System.learns_from`; a missing model gets no entry.
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
    except UserError:  # training reports a missing model that it needs; one that only gave initial weights may be gone
        return None


def remember(workdir: Path, found: Mapping[str, str], models: Sequence[str]) -> dict[str, str]:
    """Merge the licences `found` with those that earlier runs stored in the workdir, and rewrite the file.

    Where the two differ the stricter one wins; a model that is missing and was never recorded has unknown terms.

    Args:
      workdir: folder of the run.
      found: from `of_training`.
      models: `System.learns_from`.

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
    """Read the stored licences, as far as readable: an edited file can make the terms stricter, never milder."""
    try:
        with open(path, "rb") as file:
            content = json.loads(file.read(MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return {key: licences.tidy(value) for key, value in content.items()} if isinstance(content, dict) else {}
