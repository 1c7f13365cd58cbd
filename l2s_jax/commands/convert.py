"""`l2s convert`: published weights as a model that every command takes."""

import argparse
from pathlib import Path

from ml_collections import ConfigDict

from input_pipeline import labels
from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.bundle.tensors import digest
from l2s_jax.commands import console
from l2s_jax.convert import segface
from l2s_jax.convert.torch_file import read_state_dict
from l2s_jax.systems.segface import config as recipes

TRAINED_ON = {"celeb": "CelebAMask-HQ", "lapa": "LaPa", "helen": "Helen"}
SHOWN = {
    "lapa": "LaPa's network was trained on faces warped by their landmarks: `l2s evaluate` takes those of the data, "
    "`Parser` those you give it; `l2s parse` has none, so photos as they are come out worse.",
    "helen": "Helen's network was trained on faces cut out by their landmarks: `l2s evaluate` cuts those of the data "
    "alike; give `l2s parse` photos that show the face from brows to chin and little more.",
}
"""What a user must know of the faces that a network was shown."""


def run(args: argparse.Namespace) -> int:
    """Write the bundle `args.out` of the SegFace checkpoint `args.file`."""
    screen = console.out()
    state = read_state_dict(args.file)
    try:
        published, variables = segface.convert_checkpoint(state)
        head = choose_head(published, args.head)
    except UserError as error:
        raise UserError(f"'{args.file}': {error}") from error
    config = segface_config(head, published.backbone, args.image_size)
    meta = describe(config, head, args.file, args.name or args.out.resolve().name)
    meta = bundle.save(args.out, {"network": variables}, meta)
    screen.print(
        f"model [bold]{console.escape(meta.name)}[/]: SegFace, {published.backbone}, {published.classes} classes of "
        f"{TRAINED_ON[head]}, {meta.parameters / 1e6:.2f} M numbers, {config.image_size} px"
    )
    if head in SHOWN:
        screen.print(SHOWN[head])
    screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(args.out))}", soft_wrap=True)
    return 0


def choose_head(published: segface.Published, wanted: str | None) -> str:
    """The data set whose classes a network tells apart.

    Args:
      published: what the weights say.
      wanted: what the user says, or None.

    Raises:
      UserError: they contradict each other, or leave a choice.
    """
    if wanted is None and len(published.heads) > 1:
        options = " or ".join(f"--head {head}" for head in published.heads)
        raise UserError(f"networks for {' and '.join(published.heads)} have the same tensors: say {options}")
    if wanted is not None and wanted not in published.heads:
        raise UserError(f"its {published.classes} classes are those of {' or '.join(published.heads)}, not of {wanted}")
    return wanted or published.heads[0]


def segface_config(head: str, backbone: str, image_size: int) -> ConfigDict:
    """The published recipe with what a bundle of these weights must say.

    Raises:
      UserError: an image size that the strides do not divide.
    """
    config = recipes.published(configs.default("segface").unlock())
    config.label_set = segface.LABEL_SETS[head]
    config.image_size = image_size
    config.model.backbone = backbone
    config.model.warp = "published" if head == "lapa" else "none"
    config.data.framing = "face_inside" if head == "helen" else "whole"
    systems.build(config)
    return config.lock()


def describe(config: ConfigDict, head: str, source: Path, name: str) -> bundle.Meta:
    """What `model.json` says."""
    facts = bundle.provenance(0)
    del facts["steps"]  # how long it was trained elsewhere, the weights do not tell
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=config.system,
        config=config.to_dict(),
        label_set=labels.get(config.label_set),
        preprocessing=bundle.Preprocessing(config.image_size, resize=segface.RESIZE.name),
        licence=f"non-commercial research (trained on {TRAINED_ON[head]} by SegFace's authors, whose code is MIT)",
        provenance=facts | {"source": {"paper": "arXiv 2412.08647", "file": source.name, "sha256": digest(source)}},
    )
