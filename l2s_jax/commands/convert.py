"""Convert published weights into a model for all other commands. The file is read as data: no code in it runs.
A tensor that is missing or left over is named, and nothing is written.

examples:
  l2s convert segface mobilenet_celeba_512/model_299.pt --out models/segface-mobilenet
  l2s convert segface swinb_helen_512/model_299.pt --head helen --out models/segface-helen
  l2s convert latents2segments latest_checkpoint.pth --head five_regions --out models/l2s
  l2s convert structure_via_consensus face_occ_net.pth --head part_labels --out models/occ
  l2s convert stylegan2 ffhq-256.pt --out models/ffhq
  l2s convert identity_encoder model_ir_se50.pth --out models/ir_se50
  l2s convert landmark_regressor mobilefacenet_model_best.pth.tar --out models/landmarks
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments, console

if TYPE_CHECKING:
    from ml_collections import ConfigDict

    from l2s_jax.bundle import Meta
    from l2s_jax.systems.base import Converted, Weights


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s convert`."""
    from l2s_jax import systems  # only their metadata, without JAX

    weights = {name: systems.published(name).weights for name in systems.convertible()}
    heads = [head.name for each in weights.values() for head in each.heads]
    sizes = ", ".join(f"{name} {each.image_size}" for name, each in weights.items())
    parser.add_argument("system", metavar="SYSTEM", choices=[*weights], help=f"whose weights: {', '.join(weights)}")
    parser.add_argument("file", metavar="FILE", type=Path, help="the authors' checkpoint, .pt or .safetensors")
    parser.add_argument("--out", metavar="MODEL", type=Path, required=True, help="folder of the model")
    parser.add_argument("--name", metavar="NAME", help="name of the model (default: that of its folder)")
    parser.add_argument("--head", choices=heads, help="data set of the weights, if the file does not say it")
    parser.add_argument(
        "--image-size", metavar="N", type=arguments.natural, help=f"pixels a side it was trained on ({sizes})"
    )


def run(args: argparse.Namespace) -> int:
    """Convert the checkpoint `args.file` of `args.system` and write it as the bundle `args.out`."""
    from input_pipeline import files
    from l2s_jax import bundle, systems
    from l2s_jax import config as configs
    from l2s_jax.torch_weights.torch_file import read_state_dict

    screen, weights = console.out(), systems.published(args.system).weights
    files.local(args.out)
    state = read_state_dict(args.file)
    config = configs.default(args.system).unlock()
    try:
        converted = systems.reader(args.system)(state, args.head, config)
        config.image_size = _image_size(args.image_size, converted, weights)
        system = systems.build(config.lock())  # raises if the network does not accept the size
    except UserError as error:
        raise UserError(f"'{args.file}': {error}") from error
    meta = _describe(weights, converted, config, args.file, args.name or args.out.resolve().name)
    meta = bundle.save(args.out, converted.variables, meta)
    screen.print(
        f"model [bold]{console.escape(meta.name)}[/]: {converted.title} of {converted.head.data}, "
        f"{meta.parameters / 1e6:.2f} M numbers, {config.image_size} px"
    )
    if converted.head.shown:
        screen.print(converted.head.shown)
    if system.predict is not None:
        screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(args.out))}", soft_wrap=True)
    return 0


def _image_size(wanted: int | None, converted: Converted, weights: Weights) -> int:
    """Return the side of the network's images: that of its tensors, or the wanted one, or that of its training."""
    own = converted.image_size
    if own is not None and wanted not in (None, own):
        raise UserError(f"its tensors are those of a network for {own} px, not {wanted}: leave out --image-size")
    return own or wanted or weights.image_size


def _describe(weights: Weights, converted: Converted, config: ConfigDict, source: Path, name: str) -> Meta:
    """Return the content of `model.json` for weights converted from a file."""
    from input_pipeline import files, labels
    from l2s_jax import bundle

    facts = bundle.provenance(0)
    del facts["steps"]  # the weights do not record how long they were trained
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=config.system,
        config=config.to_dict(),
        label_set=labels.get(config.label_set),
        preprocessing=bundle.Preprocessing(config.image_size, resize=config.data.resize),
        licence=weights.licence.format(data=converted.head.data),
        provenance=facts | {"source": {"paper": weights.paper, "file": source.name, "sha256": files.sha256(source)}},
    )
