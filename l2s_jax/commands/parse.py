"""For every photo NAME write three files into the folder --out:

  NAME_overlay.png  the photo with its parts in colour
  NAME_labels.png   class ids as a palette PNG, at the photo's own size, turned upright as EXIF says
  NAME.json         areas and confidence by class, model, timings

A photo that cannot be read is named and skipped, and the exit code is 2. Photos should show one face that
fills most of the picture.

A second run replaces the files it wrote for the same photo, and nothing else; it does not parse its own results.
So --out may be the folder of the photos.

examples:
  l2s parse photo.jpg --out masks
  l2s parse album/ more/*.png --out masks --model runs/demo
  l2s parse album/ --out masks --by light         Latents2Segments without decoding its slices: faster
  l2s parse photo.jpg --out masks --clean 500     without specks of fewer than 500 pixels
"""

import argparse
import itertools
import time
from pathlib import Path

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments, console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s parse`."""
    parser.add_argument("inputs", metavar="IMAGE|FOLDER", nargs="+", type=Path, help="photos, or folders of photos")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder for the results")
    parser.add_argument("--model", metavar="NAME|PATH|WORKDIR", help="default: the model that was trained last")
    parser.add_argument("--batch", metavar="N", type=arguments.natural, default=8, help="photos at a time (default: 8)")
    parser.add_argument(
        "--by", metavar="WAY", default="", help="way of segmenting, such as 'light' (default: the model's)"
    )
    parser.add_argument(
        "--clean",
        metavar="N",
        type=_pixels,
        default=0,
        help="reassign connected components of fewer than N pixels of the photo to the class around them "
        "(default: 0, off)",
    )


def _pixels(text: str) -> int:
    """Parse an integer >= 0."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number of pixels, 0 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    """Parse every photo; unreadable ones are named, skipped, and reported as a UserError at the end."""
    from input_pipeline import files, licences
    from l2s_jax import bundle, progress
    from l2s_jax.commands import photos, results
    from l2s_jax.inference.parser import Parser
    from l2s_jax.training.compilation import enable_compilation_cache

    listed = photos.list_photos(args.inputs)
    out = files.writable_folder(args.out)
    names = results.names(listed.paths, out)
    screen = console.out()
    warnings = console.errors(screen)
    enable_compilation_cache()
    parser = Parser.load(args.model or bundle.newest(), args.clean, args.by)
    batch_size = min(args.batch, len(listed.paths))
    compile_s = photos.warm_up(parser, batch_size)
    screen.print(
        f"model [bold]{parser.model.meta.name}[/] [dim]({console.escape(str(parser.model.path))}, "
        f"{parser.model.meta.system}, {parser.image_size} px, ready in {compile_s:.1f} s)[/] "
        f"[dim]licence: {console.escape(licences.short(parser.model.meta.licence))}[/]"
    )
    if listed.results:
        screen.print(f"[dim]{listed.results} files that l2s parse wrote are left out[/]")
    skipped = [problem.name for problem in listed.passed_over]
    for problem in listed.passed_over:
        photos.warn(warnings, f"'{problem.path}' {problem.reason}")
    done, total = 0, len(listed.paths) + len(skipped)
    with progress.shown(screen, "parsing") as show:
        readable = photos.read_photos(listed.paths, names, out, skipped, warnings)
        while chunk := list(itertools.islice(readable, batch_size)):
            start = time.perf_counter()
            parsings = list(parser.batch([photo.pixels for photo in chunk], batch_size))
            parse_ms = (time.perf_counter() - start) * 1e3 / len(chunk)
            for photo, parsing in zip(chunk, parsings, strict=True):
                photos.write(out, photo, parsing, parser, parse_ms)
                screen.print(photos.line(photo, parsing, parse_ms), soft_wrap=True)
                done += 1
                show(done, total - len(skipped))
    screen.print(f"{done} photo{'s' * (done != 1)} parsed into {console.escape(str(out))}", soft_wrap=True)
    if skipped:
        first = ", ".join(skipped[:5]) + (", ..." if len(skipped) > 5 else "")
        raise UserError(f"{len(skipped)} of {total} photos could not be read and were skipped: {first}")
    return 0
