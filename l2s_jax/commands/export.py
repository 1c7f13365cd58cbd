"""Write a trained parser as a file that runs without this library, or as a page that runs in any browser.

  stablehlo  for JAX on CPU, CUDA and TPU; FILE.json beside it says what it is
  onnx       for ONNX Runtime and what else reads ONNX; the description is inside
  web        a folder whose index.html parses photos in the browser; nothing leaves the machine

All take square RGB pictures, uint8 [batch, S, S, 3], any batch, and return class probabilities and class ids. Weights,
class names, licence, image size and the rule that makes photos square are inside.

ONNX and the page need `pip install 'l2s_jax[export]'`. The page needs the runtime of browsers, too: the file that
`npm pack onnxruntime-web@1.30.0` fetches. Open the page with a server, such as `python -m http.server -d page`.

examples:
  l2s export l2s-synthetic --format onnx --out parser.onnx
  l2s export runs/demo --format stablehlo --out parser.stablehlo --by light
  l2s export runs/demo --format web --out page --runtime onnxruntime-web-1.30.0.tgz
"""

import argparse
import shlex
from pathlib import Path

from input_pipeline.errors import UserError, require
from l2s_jax.commands import console
from l2s_jax.commands.extras import extra


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s export`."""
    parser.add_argument("model", metavar="MODEL", help="NAME, PATH or WORKDIR of a model, see `l2s models`")
    parser.add_argument("--format", choices=_WRITERS, required=True, help="stablehlo, onnx or web")
    parser.add_argument("--out", metavar="FILE|DIR", type=Path, required=True, help="file, or folder of the page")
    parser.add_argument(
        "--by", metavar="WAY", default="", help="way of segmenting, such as 'light' (default: the model's)"
    )
    parser.add_argument("--runtime", metavar="TGZ", type=Path, help="the npm package onnxruntime-web, for the page")


def run(args: argparse.Namespace) -> int:
    """Export the model `args.model`."""
    from input_pipeline import licences
    from l2s_jax.export.segmenter import segmenter
    from l2s_jax.inference.parser import Parser

    parser = Parser.load(args.model, by=args.by)
    meta = parser.model.meta
    exported = segmenter(parser.predict, parser.variables, parser.label_set, meta, args.by)
    size = _WRITERS[args.format](args, exported)
    console.out().print(
        f"[bold]{console.escape(meta.name)}[/] as {args.format}: {console.escape(str(args.out))}, "
        f"{size / 1e6:.1f} MB [dim]licence: {console.escape(licences.short(meta.licence))}[/]",
        soft_wrap=True,
    )
    return 0


def _stablehlo(args: argparse.Namespace, segmenter) -> int:
    with extra("export", "StableHLO"):
        import flatbuffers  # noqa: F401 - jax.export asks for it only when it writes

        from l2s_jax.export import stablehlo_file
    _check_file(args.out, stablehlo_file.is_ours)
    words = ["l2s", "export", args.model, "--format", "stablehlo", "--out", str(args.out)]
    return stablehlo_file.write(args.out, segmenter, shlex.join(words + ["--by", args.by] * bool(args.by)))


def _onnx(args: argparse.Namespace, segmenter) -> int:
    with extra("export", "ONNX"):
        from l2s_jax.export import onnx_file
    _check_file(args.out, onnx_file.is_ours)
    return onnx_file.write(args.out, segmenter)


def _web(args: argparse.Namespace, segmenter) -> int:
    with extra("export", "the page"):
        from l2s_jax.web import static_page
    require(args.runtime is not None, f"the page needs the runtime of browsers, --runtime TGZ: {static_page.FETCHED}")
    if args.out.exists() and not static_page.is_ours(args.out) and (args.out.is_file() or any(args.out.iterdir())):
        raise UserError(f"'{args.out}' holds something that `l2s export` did not write: choose another --out")
    return static_page.write(args.out, segmenter, static_page.read_runtime(args.runtime))


def _check_file(path: Path, is_ours) -> None:
    """Check that the file can be written, and is nobody else's."""
    from input_pipeline import files

    files.writable_file(path)
    if path.exists() and not is_ours(path):
        raise UserError(f"'{path}' was not written by `l2s export` and is not replaced: choose another --out")


_WRITERS = {"stablehlo": _stablehlo, "onnx": _onnx, "web": _web}
