"""For every photo NAME write three files into the folder --out:

  NAME_overlay.png  the photo with its parts in colour
  NAME_labels.png   class ids as a palette PNG, at the photo's own size, turned upright as EXIF says
  NAME.json         areas and confidence by class, model, timings

and what else is asked for: NAME_mask.png (--regions), NAME_CLASS.png (--masks), NAME_cutout.png (--cutout,
--background). Folders are read with their subfolders, and results lie in the same subfolders of --out. A photo that
cannot be read is named and skipped, and the exit code is 2. Faces that do not fill a photo are found and looked at
closely (--crop).

A video gives NAME_overlay.mp4, NAME.json and folders of frames, NAME_labels/000000.png and so on; `camera:0` is the
first camera, until Ctrl-C. `-` is a photo from standard input, and --out - writes one picture to standard output: the
cutout, the mask of --regions, or the class ids.

A second run replaces the files it wrote for the same photo, and nothing else; it does not parse its own results.
So --out may be the folder of the photos.

examples:
  l2s parse photo.jpg
  l2s parse album/ more/*.png --out masks --model runs/demo
  l2s parse photo.jpg --regions hair --soft       the probability of hair as a grey PNG
  l2s parse photo.jpg --background 255,255,255    the person on white
  l2s parse - --out - --cutout < photo.jpg > person.png
  l2s parse album/ --skip-done --watch            what is new, now and later
  l2s parse photo.jpg --clean 500                 without specks of fewer than 500 pixels
"""

import argparse
import sys
from pathlib import Path

from input_pipeline.errors import UserError
from l2s_jax.commands import arguments
from l2s_jax.commands.extras import extra


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `l2s parse`."""
    parser.add_argument(
        "inputs", metavar="PHOTO|FOLDER|VIDEO|-", nargs="+", type=_input, help="photos, folders of photos, videos"
    )
    parser.add_argument(
        "--out", metavar="DIR|-", type=Path, default=Path("masks"), help="folder for the results (default: masks)"
    )
    parser.add_argument(
        "--model", metavar="NAME|PATH|WORKDIR", help="default: the one that comes with the package, see `l2s models`"
    )
    parser.add_argument("--batch", metavar="N", type=arguments.natural, default=8, help="photos at a time (default: 8)")
    parser.add_argument(
        "--by", metavar="WAY", default="", help="way of segmenting, such as 'light' (default: the model's)"
    )
    parser.add_argument(
        "--engine", choices=("xla", "onnx"), default="xla", help="what runs the network, see docs/export.md (xla)"
    )
    parser.add_argument(
        "--label-set", metavar="SET", default="", help="classes of the results, see `l2s labels` (default: the model's)"
    )
    parser.add_argument(
        "--regions",
        metavar="A,B",
        type=arguments.regions,
        default=(),
        help="write one mask of these classes; also eyes, brows, ears, lips, face",
    )
    parser.add_argument("--masks", action="store_true", help="write a mask of every class")
    parser.add_argument(
        "--soft",
        action="store_true",
        help="masks and cutouts hold probabilities, 0 to 255; alone it is --masks --soft",
    )
    parser.add_argument(
        "--cutout", action="store_true", help="write --regions (default: all but the background) on nothing"
    )
    parser.add_argument("--background", metavar="R,G,B", type=_colour, help="or on this colour, 0 to 255 each")
    parser.add_argument(
        "--clean",
        metavar="N",
        type=arguments.whole(0, "a whole number of pixels, 0 or more"),
        default=0,
        help="reassign connected components of fewer than N pixels of the photo to the class around them "
        "(default: 0, off)",
    )
    parser.add_argument(
        "--smooth",
        metavar="W",
        type=arguments.number(lambda weight: 0 <= weight <= 0.99, "a number from 0 to 0.99"),
        default=0.7,
        help="weight of the frame before in films, 0 (off) to 0.99 (default: 0.7)",
    )
    parser.add_argument(
        "--crop",
        choices=("auto", "none"),
        default="auto",
        help="look closer at faces that do not fill the picture, all else of which is background then (default: auto)",
    )
    parser.add_argument("--skip-done", action="store_true", help="leave out photos whose results are there, as asked")
    parser.add_argument("--watch", action="store_true", help="go on with what is new in the folders, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="print one JSON object a photo, for programs")


def _input(text: str) -> Path:
    """Parse a path, or `-`."""
    return Path("/dev/stdin" if text == "-" else text)


def _colour(text: str) -> tuple[int, ...]:
    """Parse three levels of 0..255."""
    levels = text.split(",")
    if len(levels) != 3 or not all(level.isdecimal() and int(level) <= 255 for level in levels):
        raise argparse.ArgumentTypeError(f"'{text}' is no colour, three numbers from 0 to 255 such as 255,255,255")
    return tuple(map(int, levels))


def run(args: argparse.Namespace) -> int:
    """Parse everything that is named; what cannot be read is named, skipped, and reported as a UserError at the end."""
    from input_pipeline import files, labels
    from l2s_jax import bundle
    from l2s_jax.commands import album, film, mask_files, photos, results
    from l2s_jax.commands.tally import Tally
    from l2s_jax.inference.parser import Parser
    from l2s_jax.training.compilation import enable_compilation_cache

    listed = photos.list_photos(args.inputs)
    if not args.watch:
        photos.check_any(listed, args.inputs)
    found = [*listed.photos, *listed.films]
    wanted = mask_files.Wanted(
        regions=args.regions,
        masks=args.masks or (args.soft and not (args.regions or args.cutout or args.background)),
        soft=args.soft,
        cutout=args.cutout or args.background is not None,
        background=args.background,
    )
    piped = args.out == Path("-")
    if piped and (len(found) > 1 or listed.films or wanted.masks or args.watch or args.json):
        raise UserError("--out - writes one picture of one photo: name a folder for more")
    out = Path() if piped else files.writable_folder(args.out)
    where = bundle.resolve(args.model) if args.model else bundle.DEFAULT_PARSER
    label_set = labels.get(args.label_set) if args.label_set else bundle.read_meta(where).label_set
    drawn = mask_files.pictures(wanted, label_set)
    endings = [*drawn, *[film.OVERLAY] * bool(listed.films), mask_files.FACTS]
    names = [] if piped else results.names(found, out, endings)
    enable_compilation_cache()
    if args.engine == "onnx":
        with extra("export", "--engine onnx"):
            from l2s_jax.inference.onnx_parser import OnnxParser as Parser
    parser = Parser.load(where, args.clean, args.by, args.label_set, args.crop)
    if piped:
        (path, _), draw = found[0], mask_files.main_picture(drawn)
        sys.stdout.write_bytes(results.png(draw(parser(photos.read(path))), results.mark(path, out)))
        return 0
    batch_size = args.batch if args.watch or listed.films else min(args.batch, len(found))
    alone = len(found) + len(listed.passed_over) == 1 and not args.watch
    tally = Tally(args.json, [problem.name for problem in listed.passed_over], alone=alone)
    task = album.Task(parser, out, drawn, mask_files.options(parser, args.by, wanted), batch_size, tally)
    tally.introduce(parser, album.warm_up(parser, batch_size), listed)
    album.parse(task, listed.photos, names, skip_done=args.skip_done)
    for (path, _), name in zip(listed.films, names[len(listed.photos) :], strict=True):
        film.parse(task, path, name, args.smooth)
    if args.watch:
        album.watch(task, args.inputs, listed)
    tally.finish(out)
    return 0
