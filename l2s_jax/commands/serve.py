"""Show a page in the browser that parses and edits photos on this machine: drop a photo, see its parts, tick classes,
download masks and cutouts; swap parts between two photos.

Only this machine reaches the page, unless --host says otherwise. Photos are not stored. There is no password: do not
open it to a network that you do not trust.

examples:
  l2s serve
  l2s serve --model runs/demo --editor runs/demo --port 8080
"""

import argparse

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s serve`."""
    parser.add_argument(
        "--model", metavar="NAME|PATH|WORKDIR", help="parser (default: the one that comes with the package)"
    )
    parser.add_argument(
        "--editor",
        metavar="NAME|PATH|WORKDIR",
        default="l2s-synthetic",
        help="model that swaps parts (default: l2s-synthetic, which has seen drawings); 'none' leaves them out",
    )
    parser.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="(default: 127.0.0.1, this machine)")
    port = arguments.whole(0, "a port, a number from 0 to 65535", most=65535)
    parser.add_argument("--port", metavar="N", type=port, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument(
        "--max-upload", metavar="MIB", type=arguments.natural, default=30, help="most MiB of a request (default: 30)"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until Ctrl-C."""
    from l2s_jax.export.segmenter import describe
    from l2s_jax.inference.editor import Editor
    from l2s_jax.inference.model import load_model
    from l2s_jax.inference.parser import Parser
    from l2s_jax.training.compilation import enable_compilation_cache
    from l2s_jax.web.server import Server

    enable_compilation_cache()
    parser = Parser(args.model)
    editor = None if args.editor == "none" else Editor(load_model(args.editor))
    description = describe(parser.label_set, parser.model.meta) | {"licence": parser.licence}
    try:
        server = Server((args.host, args.port), parser, editor, description, args.max_upload * 2**20)
    except OSError as error:
        raise UserError(
            f"cannot serve at {args.host}:{args.port}: {error.strerror or error}; name another --port or --host"
        ) from error
    screen = console.out()
    with server:
        parser.compile(1)  # before the first photo comes
        screen.print(f"open http://{args.host}:{server.server_port}/ in the browser; Ctrl-C ends it", soft_wrap=True)
        server.serve_forever()
    return 0
