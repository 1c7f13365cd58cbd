"""`model.json`: the description of a model, of its training and of its scores."""

import dataclasses
import re
from collections.abc import Mapping

from input_pipeline import labels
from input_pipeline.errors import UserError, require
from input_pipeline.images import resize_rules
from input_pipeline.images.resize_rules import PAD_SQUARE, ResizeRule
from input_pipeline.labels import LabelSet

FORMAT = 1
"""Version of the folder layout; readers refuse any other."""

MOST_PARAMETERS = 2**31
"""Largest model that is read: a file that says more is hostile or damaged, and reading it would take minutes."""

# Names are printed to terminals and become folder names.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+\-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class Preprocessing:
    """The conversion of an image into the network's input.

    Attributes:
      image_size: side of the network's square input, pixels.
      range: values of black and white.
      resize: name of a rule in `input_pipeline.images.resize_rules`.
    """

    image_size: int
    range: tuple[float, float] = (-1.0, 1.0)
    resize: str = PAD_SQUARE.name

    @property
    def rule(self) -> ResizeRule:
        """Return the rule that `resize` names; an unknown name is a UserError."""
        return resize_rules.find(self.resize)


@dataclasses.dataclass(frozen=True)
class Meta:
    """The description of a bundle's tensors.

    Attributes:
      name: short name, `[A-Za-z0-9_.+-]`.
      system: name in the registry of systems.
      config: the resolved config, plain dicts, lists and scalars.
      label_set: classes of the logits; stored with its class names, so that a changed set is detected.
      preprocessing: conversion of an image into the network's input.
      licence: terms of all data and models it learned from, see `input_pipeline.licences`.
      scores: `{}` or `{"data": SPEC, "examples": N, "metrics": {nested floats}}`.
      provenance: command, commit, steps, date, versions, hardware, licences by spec or model name.
      familiar: `{}`, or the pictures that it was trained on (`inference.familiar`).
      parameters: number of elements of all tensors; written by `save`.
      sha256: hex digest of `model.safetensors`; written by `save`.
    """

    name: str
    system: str
    config: Mapping
    label_set: LabelSet
    preprocessing: Preprocessing
    licence: str
    scores: Mapping = dataclasses.field(default_factory=dict)
    provenance: Mapping = dataclasses.field(default_factory=dict)
    familiar: Mapping = dataclasses.field(default_factory=dict)
    parameters: int = 0
    sha256: str = "0" * 64

    @property
    def mean_f1(self) -> float | None:
        """Return `segmentation.mean_f1` of the scores, or None if they lack it."""
        segmentation = self.scores.get("metrics", {}).get("segmentation", {})
        value = segmentation.get("mean_f1") if isinstance(segmentation, Mapping) else None
        return float(value) if isinstance(value, int | float) else None


def safe_name(text: str) -> str:
    """Return the nearest allowed model name for a text, e.g. a folder's name."""
    name = re.sub(r"[^A-Za-z0-9_.+\-]+", "-", text).lstrip("_.+-")[:64]
    return name or "model"


def to_json(meta: Meta) -> dict:
    """Return the content of `model.json`."""
    content = {f.name: getattr(meta, f.name) for f in dataclasses.fields(meta)}
    content["label_set"] = {"name": meta.label_set.name, "classes": list(meta.label_set.names)}
    content["preprocessing"] = dataclasses.asdict(meta.preprocessing)
    return {"format": FORMAT, **content}


def from_json(content: dict, source: str) -> Meta:
    """Check the content of `model.json` and convert it; the reverse of `to_json`.

    Args:
      content: the JSON object, untrusted.
      source: file name for error messages.

    Raises:
      UserError: another format version, a missing or malformed field, unknown classes.
    """
    if "format" not in content:
        raise UserError(f"'{source}' is not a model description; a bundle is made by `l2s train` or `l2s demo`")
    require(
        content["format"] == FORMAT,
        f"'{source}' has format version {str(content['format'])[:20]!r}, this l2s reads version {FORMAT}; "
        "convert or train it again, or install the l2s_jax that wrote it",
    )
    get = _Fields({"familiar": {}, **content}, source)  # newer than the first bundles
    return Meta(
        name=get("name", str, _NAME.fullmatch),
        system=get("system", str, str.isidentifier),
        config=get("config", dict, lambda config: config.get("system") == content.get("system")),
        label_set=_label_set(get("label_set", dict), source),
        preprocessing=_preprocessing(get("preprocessing", dict), source),
        licence=get("licence", str),
        scores=get("scores", dict, lambda s: isinstance(s.get("metrics", {}), dict)),
        provenance=get("provenance", dict),
        familiar=get("familiar", dict),
        parameters=get("parameters", int, lambda n: 0 <= n <= MOST_PARAMETERS),
        sha256=get("sha256", str, _SHA256.fullmatch),
    )


class _Fields:
    """A reader of typed fields of a JSON object; its errors name the wrong field."""

    def __init__(self, content: dict, source: str):
        self._content, self._source = content, source

    def __call__(self, key: str, kind: type, check=lambda value: True):
        value = self._content.get(key)
        require(
            type(value) is kind and check(value),
            f"'{self._source}' is damaged or from another version of l2s_jax: its field '{key}' is missing or wrong",
        )
        return value


def _preprocessing(content: dict, source: str) -> Preprocessing:
    get = _Fields(content, source)
    return Preprocessing(
        image_size=get("image_size", int, lambda n: 1 <= n <= 16384),
        range=tuple(get("range", list, lambda r: r == [-1, 1])),
        resize=get("resize", str, resize_rules.RULES.__contains__),
    )


def _label_set(content: dict, source: str) -> LabelSet:
    get = _Fields(content, source)
    label_set = labels.get(get("name", str))
    require(
        tuple(get("classes", list)) == label_set.names,
        f"'{source}' was written for other classes of label set '{label_set.name}'; "
        "convert or train it again, or install the l2s_jax that wrote it",
    )
    return label_set
