"""`l2s convert`: turn published weights into a model that every command accepts."""

import argparse
from pathlib import Path

from ml_collections import ConfigDict

from input_pipeline import files, labels
from input_pipeline.errors import UserError
from l2s_jax import bundle, systems
from l2s_jax import config as configs
from l2s_jax.bundle.tensors import digest
from l2s_jax.commands import console
from l2s_jax.systems.base import Converted, Weights
from l2s_jax.torch_weights.torch_file import read_state_dict


def run(args: argparse.Namespace) -> int:
    """Convert the checkpoint `args.file` of `args.system` and write it as the bundle `args.out`."""
    screen, weights = console.out(), systems.published(args.system).weights
    files.local(args.out)
    state = read_state_dict(args.file)
    config = configs.default(args.system).unlock()
    try:
        converted = systems.reader(args.system)(state, args.head, config)
        config.image_size = args.image_size or weights.image_size
        systems.build(config.lock())  # raises if the network does not accept the size
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
    screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(args.out))}", soft_wrap=True)
    return 0


def _describe(weights: Weights, converted: Converted, config: ConfigDict, source: Path, name: str) -> bundle.Meta:
    """Return the content of `model.json` for weights converted from a file."""
    facts = bundle.provenance(0)
    del facts["steps"]  # the weights do not record how long they were trained
    return bundle.Meta(
        name=bundle.safe_name(name),
        system=config.system,
        config=config.to_dict(),
        label_set=labels.get(config.label_set),
        preprocessing=bundle.Preprocessing(config.image_size, resize=config.data.resize),
        licence=weights.licence.format(data=converted.head.data),
        provenance=facts | {"source": {"paper": weights.paper, "file": source.name, "sha256": digest(source)}},
    )
