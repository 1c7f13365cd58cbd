"""Build TFDS data: `python -m input_pipeline.readers.tfds.builders NAME[/CONFIG] DOWNLOAD --data-dir DIR`.

The builders use the layouts (`readers.downloads`), so every rule about files and labels is written once. Images are
stored as encoded files, which needs no TensorFlow; `readers.tfds.source` reads them back.
"""

import argparse
import io
import sys
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath

from input_pipeline import files
from input_pipeline.errors import lookup, script
from input_pipeline.images.decode import png
from input_pipeline.readers import downloads
from input_pipeline.readers.downloads.layout import Layout
from input_pipeline.readers.downloads.source import LayoutSource


class FaceParsing(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder for one layout; the download lies in TFDS' manual directory (`--manual_dir` of `tfds build`).

    Features: `name`; `image`, the bytes of the photo's file; `mask` PNG [h, w, 1] of the ids of the label set that the
    metadata name, 255 = ignore; `landmarks` float32 [K, 2] (x, y) pixels of the photo, [0, 2] for a face without.
    Examples keep the layout's order. The variants of the layout are the configs.
    """

    VERSION = tfds.core.Version("1.0.0")
    LAYOUT: ClassVar[Layout]
    # Nothing is downloaded. TFDS would look for URL checksums beside this file, with a package it does not install.
    url_infos = None

    def _info(self) -> tfds.core.DatasetInfo:
        return tfds.core.DatasetInfo(
            builder=self,
            description=f"{self.LAYOUT.title}\n\nRaw files:\n{self.LAYOUT.shape}",
            license=self.LAYOUT.licence,
            features=tfds.features.FeaturesDict(
                {
                    "name": tfds.features.Text(),
                    "image": tfds.features.Image(shape=(None, None, 3), encoding_format="jpeg"),
                    "mask": tfds.features.Image(shape=(None, None, 1), encoding_format="png"),
                    "landmarks": tfds.features.Tensor(shape=(None, 2), dtype=np.float32),
                }
            ),
            metadata=tfds.core.MetadataDict({"layout": self.LAYOUT.name}),
            disable_shuffling=True,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        """Return the examples by split; raise UserError for an incomplete face: `l2s data check` lists them all."""
        root = epath.Path(dl_manager.manual_dir)
        # TFDS calls data without splits "train"; "all", a layout's name for them, means every split to TFDS.
        names = {"train" if split in ("", "all") else split: split for split in self.LAYOUT.splits(root) or ("",)}
        variant = self.builder_config.name if self.builder_config else None
        sources = {name: LayoutSource(self.LAYOUT.open(root, split, variant)) for name, split in names.items()}
        label_set = next(iter(sources.values())).label_set
        self.info.metadata["label_set"] = label_set.name
        return {name: self._generate_examples(source) for name, source in sources.items()}

    def _generate_examples(self, source: LayoutSource) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, name in enumerate(source.names):
            example = source[index]  # decodes the photo, to make sure that none is damaged
            yield (
                index,
                {
                    "name": name,
                    "image": io.BytesIO(source.raw.image_path(index).read_bytes()),
                    "mask": io.BytesIO(png(example["mask"])),
                    "landmarks": example.get("landmarks", np.zeros((0, 2), np.float32)),
                },
            )


def configs(layout: Layout) -> list[tfds.core.BuilderConfig]:
    """Return one config for each variant of a layout, the default first."""
    return [tfds.core.BuilderConfig(name=name, description=text) for name, text in layout.variants.items()]


class CelebamaskHq(FaceParsing):
    """CelebAMask-HQ, 19 classes, a config for each paint order; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("celebamask_hq")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack CelebAMask-HQ.zip into manual_dir and lay CelebA's list_eval_partition.txt beside it."
    )
    BUILDER_CONFIGS = configs(LAYOUT)


class Helen(FaceParsing):
    """Helen, 11 classes and 68 landmarks; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("helen")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack Helen, as relabelled by its face-parsing authors, with landmarks.txt into manual_dir."
    )


class Lapa(FaceParsing):
    """LaPa, 11 classes and 106 landmarks; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("lapa")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Unpack LaPa.tar.gz into manual_dir."


BUILDERS = {"celebamask_hq": CelebamaskHq, "helen": Helen, "lapa": Lapa}


def build(name: str, download: epath.PathLike, data_dir: epath.PathLike) -> str:
    """Prepare a data set as ArrayRecord files; one that is already prepared is left unchanged.

    Args:
      name: `NAME` or `NAME/CONFIG`, NAME one of `BUILDERS`; the first config if none is named.
      download: folder of the unpacked download.
      data_dir: TFDS' folder of data sets.

    Returns:
      the spec `tfds:DIR#NAME[/CONFIG]` that reads it.

    Raises:
      UserError: an unknown name or config, or a download with an incomplete face.
    """
    base, _, config = name.partition("/")
    lookup(BUILDERS, base, "TFDS builder")
    if config:
        lookup(BUILDERS[base].builder_configs, config, "config", of=f"of TFDS builder '{base}'")
    files.existing_folder(download)
    builder = tfds.builder(name, data_dir=data_dir, file_format="array_record", try_gcs=False)
    builder.download_and_prepare(
        download_config=tfds.download.DownloadConfig(manual_dir=epath.Path(download), try_download_gcs=False)
    )
    config_name = f"/{builder.builder_config.name}" if builder.builder_config else ""
    return f"tfds:{data_dir}#{base}{config_name}"


@script
def main(arguments: list[str] | None = None) -> None:
    """Build one data set."""
    parser = argparse.ArgumentParser(prog="python -m input_pipeline.readers.tfds.builders", description=__doc__)
    parser.add_argument("name", metavar="NAME[/CONFIG]", help=f"one of {', '.join(BUILDERS)}")
    parser.add_argument("download", metavar="DOWNLOAD", help="folder of the unpacked download")
    parser.add_argument("--data-dir", required=True, metavar="DIR", help="where TFDS keeps data sets")
    options = parser.parse_args(arguments)
    spec = build(options.name, options.download, options.data_dir)
    print(f"prepared; read it as '{spec}?SPLIT'")


if __name__ == "__main__":
    sys.exit(main())
