"""TFDS data of a download: `python -m input_pipeline.readers.tfds.builders NAME[/CONFIG] DOWNLOAD --data-dir DIR`."""

import argparse
import importlib
import sys

import tensorflow_datasets as tfds
from etils import epath

from input_pipeline.errors import UserError, printable

NAMES = ("celebamask_hq", "helen", "lapa")


def build(name: str, download: epath.PathLike, data_dir: epath.PathLike) -> str:
    """Prepare a data set as ArrayRecord files; one that is already prepared is left unchanged.

    Args:
      name: `NAME` or `NAME/CONFIG`, NAME one of `NAMES`; the first config if none is named.
      download: folder of the unpacked download.
      data_dir: TFDS' folder of data sets.

    Returns:
      the spec `tfds:DIR#NAME[/CONFIG]` that reads it.

    Raises:
      UserError: an unknown name or config, or a download with an incomplete face.
    """
    base, _, config = name.partition("/")
    if base not in NAMES:
        raise UserError(f"there is no TFDS builder '{base}': choose one of {', '.join(NAMES)}")
    importlib.import_module(f"input_pipeline.readers.tfds.builders.{base}")  # registers the builder
    known = tuple(tfds.builder_cls(base).builder_configs)
    if config and config not in known:
        raise UserError(f"the TFDS builder '{base}' has no config '{config}': it has {', '.join(known) or 'none'}")
    if not epath.Path(download).is_dir():
        raise UserError(f"the folder '{download}' does not exist: name the folder of the unpacked download")
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record", try_gcs=False)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=epath.Path(download), try_download_gcs=False)
    )
    config_name = f"/{builder.builder_config.name}" if builder.builder_config else ""
    return f"tfds:{data_dir}#{base}{config_name}"


def main(arguments: list[str] | None = None) -> int:
    """Build one data set and return the exit code (2 after a user's mistake)."""
    parser = argparse.ArgumentParser(prog="python -m input_pipeline.readers.tfds.builders", description=__doc__)
    parser.add_argument("name", metavar="NAME[/CONFIG]", help=f"one of {', '.join(NAMES)}")
    parser.add_argument("download", metavar="DOWNLOAD", help="folder of the unpacked download")
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="where TFDS keeps data sets")
    options = parser.parse_args(arguments)
    try:
        spec = build(options.name, options.download, options.data_dir)
    except UserError as error:
        print(f"error: {printable(str(error))}", file=sys.stderr)
        return 2
    print(f"prepared; read it as '{spec}?SPLIT'")
    return 0


if __name__ == "__main__":
    sys.exit(main())
