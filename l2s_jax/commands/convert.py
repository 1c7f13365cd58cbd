"""`l2s convert`: published weights as a model that every command takes."""

import argparse

from input_pipeline import files
from input_pipeline.errors import UserError
from l2s_jax import bundle
from l2s_jax.commands import console
from l2s_jax.conversions import CONVERSIONS, describe
from l2s_jax.convert.torch_file import read_state_dict


def run(args: argparse.Namespace) -> int:
    """Write the bundle `args.out` of the checkpoint `args.file` of `args.system`."""
    screen, conversion = console.out(), CONVERSIONS[args.system]
    files.local(args.out)
    state = read_state_dict(args.file)
    try:
        converted = conversion.read(state, args.head, args.image_size or conversion.image_size)
    except UserError as error:
        raise UserError(f"'{args.file}': {error}") from error
    meta = describe(conversion, converted, args.file, args.name or args.out.resolve().name)
    meta = bundle.save(args.out, converted.variables, meta)
    screen.print(
        f"model [bold]{console.escape(meta.name)}[/]: {converted.title} of {converted.head.data}, "
        f"{meta.parameters / 1e6:.2f} M numbers, {converted.config.image_size} px"
    )
    if converted.head.shown:
        screen.print(converted.head.shown)
    screen.print(f"\nnext    l2s parse PHOTO --out masks --model {console.escape(str(args.out))}", soft_wrap=True)
    return 0
