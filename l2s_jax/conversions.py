"""Published weights as models: whose they are, the recipe they stand for, and what `model.json` says of them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import UserError
from input_pipeline.images.resize_rules import ResizeRule
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.bundle.tensors import digest
from l2s_jax.convert import latents2segments, segface, structure_via_consensus
from l2s_jax.convert.state_dict import State
from l2s_jax.systems.latents2segments import config as l2s_recipes
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
      licence: of the weights; `{data}` is the head's data.
      paper: where they are described.
    """

    read: Callable[[State, str | None, int], Converted]
    heads: Mapping[str, Head]
    image_size: int
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
_SLICES_ALONE = (
    "Its masks are where decoded regions are not black. A Swapping Autoencoder that was never trained on regions has "
    "the same tensors, and its masks mean nothing: start a training from it instead (model.init_from)."
)
_LATENTS2SEGMENTS = _by_name(
    Head("five_regions", "l2s_regions", "CelebAMask-HQ", _SLICES_ALONE),
    Head("hair_skin", "hair_skin", "Helen", _SLICES_ALONE),
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


def _read_latents2segments(state: State, head: str | None, image_size: int) -> Converted:
    networks = latents2segments.convert_checkpoint(state)
    for kind, name in (("E", "encoder"), ("G", "generator")):
        if kind not in networks:
            raise UserError(f"it has no {name}: no tensor's name begins with '{kind}.'")
    (encoder, encoding), (generator, decoding) = networks["E"], networks["G"]
    if decoding["params"]["structure_scale"]["kernel"].shape != (encoder.style_dims, encoder.structure_channels):
        raise UserError("its encoder and its generator do not belong together: their codes differ in size")
    chosen = _choose(tuple(_LATENTS2SEGMENTS), head, f"{encoder.structure_channels} channels", _LATENTS2SEGMENTS)
    config = l2s_recipes.published(configs.default("latents2segments").unlock())
    if chosen.name == "hair_skin":
        config = l2s_recipes.helen(config)
    if encoder.structure_channels != sum(config.model.slices):
        channels = encoder.structure_channels, sum(config.model.slices)
        raise UserError(f"its structure code has {channels[0]} channels, the published one {channels[1]}")
    for field in config.model.residual:
        config.model.residual[field] = getattr(encoder, field)
    config.model.style = encoder.style_dims
    config.model.generator.head_widths, config.model.generator.widths = generator.head_widths, generator.widths
    title = f"Latents2Segments, {len(config.model.slices)} regions"
    variables = {"encoder": encoding["params"], "generator": decoding["params"]}
    return Converted(title, chosen, _ended(config, chosen, image_size, latents2segments.RESIZE), variables)


def _read_segface(state: State, head: str | None, image_size: int) -> Converted:
    published, variables = segface.convert_checkpoint(state)
    chosen = _choose(published.heads, head, f"{published.classes} classes", _SEGFACE)
    config = segface_recipes.published(configs.default("segface").unlock())
    config.model.backbone = published.backbone
    config.model.warp = "published" if chosen.name == "lapa" else "none"
    config.data.framing = "face_inside" if chosen.name == "helen" else "whole"
    title = f"SegFace, {published.backbone}, {published.classes} classes"
    return Converted(title, chosen, _ended(config, chosen, image_size, segface.RESIZE), {"network": variables})


def _read_face_occ_net(state: State, head: str | None, image_size: int) -> Converted:
    module, variables = structure_via_consensus.convert_checkpoint(state)
    if module.classes != 3:
        raise UserError(f"this FaceOccNet tells {module.classes} classes apart, the published ones 3")
    chosen = _choose(tuple(_FACE_OCC_NET), head, f"{module.classes} classes", _FACE_OCC_NET)
    config = consensus_recipes.published(configs.default("structure_via_consensus").unlock())
    title = f"Structure via Consensus, FaceOccNet, {module.classes} classes"
    return Converted(
        title, chosen, _ended(config, chosen, image_size, structure_via_consensus.RESIZE), {"network": variables}
    )


def _choose(possible: tuple[str, ...], wanted: str | None, size: str, heads: Mapping[str, Head]) -> Head:
    """The head that is wanted among those that the weights may be of.

    Raises:
      UserError: they contradict each other, or leave a choice.
    """
    if wanted is None and len(possible) > 1:
        options = " or ".join(f"--head {head}" for head in possible)
        raise UserError(f"networks for {' and '.join(possible)} have the same tensors: say {options}")
    if wanted is not None and wanted not in possible:
        raise UserError(f"its {size} are those of {' or '.join(possible)}, not of {wanted}")
    return heads[wanted or possible[0]]


def _ended(config: ConfigDict, head: Head, image_size: int, resize: ResizeRule) -> ConfigDict:
    """The config with what a bundle must say; a UserError if the network does not take the size."""
    config.label_set = head.label_set
    config.image_size = image_size
    config.data.resize = resize.name
    systems.build(config)
    return config.lock()


CONVERSIONS: Mapping[str, Conversion] = {
    "latents2segments": Conversion(
        _read_latents2segments,
        _LATENTS2SEGMENTS,
        image_size=128,
        licence="non-commercial use only (trained on {data} by the authors of Latents2Segments, from weights of "
        "Swapping Autoencoder under the Adobe Research Licence)",
        paper="arXiv 2207.01871",
    ),
    "segface": Conversion(
        _read_segface,
        _SEGFACE,
        image_size=512,
        licence="non-commercial research (trained on {data} by SegFace's authors, whose code is MIT)",
        paper="arXiv 2412.08647",
    ),
    "structure_via_consensus": Conversion(
        _read_face_occ_net,
        _FACE_OCC_NET,
        image_size=128,
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
        preprocessing=bundle.Preprocessing(converted.config.image_size, resize=converted.config.data.resize),
        licence=conversion.licence.format(data=converted.head.data),
        provenance=facts | {"source": {"paper": conversion.paper, "file": source.name, "sha256": digest(source)}},
    )
