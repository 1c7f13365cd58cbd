"""Published weights as models: whose they are, the recipe they stand for, and what `model.json` says of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.resize_rules import ResizeRule
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.bundle.tensors import digest
from l2s_jax.convert import segface, structure_via_consensus
from l2s_jax.convert.state_dict import State
from l2s_jax.systems.segface import config as segface_recipes
from l2s_jax.systems.structure_via_consensus import config as consensus_recipes


class Head(NamedTuple):
    """Data set whose classes a published network tells apart.

    Attributes:
      name: what `l2s convert --head` calls it.
      label_set: of its classes, in the order of the logits.
      data: its own name.
      shown: what a user must know of the faces that the network was trained on; may be empty.
    """

    name: str
    label_set: str
    data: str
    shown: str


class Converted(NamedTuple):
    """A published network, read.

    Attributes:
      title: the network and its backbone, for people.
      head: what it tells apart.
      config: resolved, of the published recipe.
      variables: of its system.
    """

    title: str
    head: Head
    config: ConfigDict
    variables: Mapping


class Conversion(NamedTuple):
    """What there is to know of the published weights of one system.

    Attributes:
      read: (state dict, wanted head or None, pixels a side) -> the network; a UserError where they are not its weights.
      heads: by their names.
      image_size: pixels a side that they were trained at.
      resize: how pictures became the network's squares.
      licence: of the weights; `{data}` is the head's data.
      paper: where they are described.
    """

    read: Callable[[State, str | None, int], Converted]
    heads: Mapping[str, Head]
    image_size: int
    resize: ResizeRule
    licence: str
    paper: str


def _by_name(*heads: Head) -> dict[str, Head]:
    return {head.name: head for head in heads}


_SEGFACE = _by_name(
    Head("celeb", segface.LABEL_SETS["celeb"], "CelebAMask-HQ", ""),
    Head(
        "lapa",
        segface.LABEL_SETS["lapa"],
        "LaPa",
        "LaPa's network was trained on faces warped by their landmarks: `l2s evaluate` takes those of the data, "
        "`Parser` those you give it; `l2s parse` has none, so photos as they are come out worse.",
    ),
    Head(
        "helen",
        segface.LABEL_SETS["helen"],
        "Helen",
        "Helen's network was trained on faces cut out by their landmarks: `l2s evaluate` cuts those of the data "
        "alike; give `l2s parse` photos that show the face from brows to chin and little more.",
    ),
)
_FACE_OCC_NET = _by_name(
    Head(
        "part_labels",
        "skin_hair",
        "Part Labels",
        "It was trained on photos of Labeled Faces in the Wild, square with the face in the middle.",
    ),
    Head("cofw", "face_occlusion", "COFW", ""),
)


def _read_segface(state: State, head: str | None, image_size: int) -> Converted:
    published, variables = segface.convert_checkpoint(state)
    chosen = _choose(published.heads, head, published.classes, _SEGFACE)
    config = segface_recipes.published(configs.default("segface").unlock())
    config.model.backbone = published.backbone
    config.model.warp = "published" if chosen.name == "lapa" else "none"
    config.data.framing = "face_inside" if chosen.name == "helen" else "whole"
    title = f"SegFace, {published.backbone}, {published.classes} classes"
    return Converted(title, chosen, _ended(config, chosen, image_size), {"network": variables})


def _read_face_occ_net(state: State, head: str | None, image_size: int) -> Converted:
    module, variables = structure_via_consensus.convert_checkpoint(state)
    if module.classes != 3:
        raise UserError(f"this FaceOccNet tells {module.classes} classes apart, the published ones 3")
    chosen = _choose(tuple(_FACE_OCC_NET), head, module.classes, _FACE_OCC_NET)
    config = consensus_recipes.published(configs.default("structure_via_consensus").unlock())
    title = f"Structure via Consensus, FaceOccNet, {module.classes} classes"
    return Converted(title, chosen, _ended(config, chosen, image_size), {"network": variables})


def _choose(possible: tuple[str, ...], wanted: str | None, classes: int, heads: Mapping[str, Head]) -> Head:
    """The head that is wanted among those that the weights may be of.

    Raises:
      UserError: they contradict each other, or leave a choice.
    """
    if wanted is None and len(possible) > 1:
        options = " or ".join(f"--head {head}" for head in possible)
        raise UserError(f"networks for {' and '.join(possible)} have the same tensors: say {options}")
    if wanted is not None and wanted not in possible:
        raise UserError(f"its {classes} classes are those of {' or '.join(possible)}, not of {wanted}")
    return heads[wanted or possible[0]]


def _ended(config: ConfigDict, head: Head, image_size: int) -> ConfigDict:
    """The config with what a bundle must say; a UserError if the network does not take the size."""
    config.label_set = head.label_set
    config.image_size = image_size
    systems.build(config)
    return config.lock()


CONVERSIONS: Mapping[str, Conversion] = {
    "segface": Conversion(
        _read_segface,
        _SEGFACE,
        image_size=512,
        resize=segface.RESIZE,
        licence="non-commercial research (trained on {data} by SegFace's authors, whose code is MIT)",
        paper="arXiv 2412.08647",
    ),
    "structure_via_consensus": Conversion(
        _read_face_occ_net,
        _FACE_OCC_NET,
        image_size=128,
        resize=structure_via_consensus.RESIZE,
        licence="academic and non-commercial use only (trained on {data} by the authors of Structure via Consensus)",
        paper="arXiv 1911.00957",
    ),
}
"""By the name of the system."""


def describe(conversion: Conversion, converted: Converted, source: Path, name: str) -> bundle.Meta:
    """What `model.json` says of weights that came from a file."""
    facts = bundle.provenance(0)
    del facts["steps"]  # how long it was trained elsewhere, the weights do not tell
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=converted.config.system,
        config=converted.config.to_dict(),
        label_set=labels.get(converted.config.label_set),
        preprocessing=bundle.Preprocessing(converted.config.image_size, resize=conversion.resize.name),
        licence=conversion.licence.format(data=converted.head.data),
        provenance=facts | {"source": {"paper": conversion.paper, "file": source.name, "sha256": digest(source)}},
    )
