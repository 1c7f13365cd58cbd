"""The common base of the TFDS builders: it derives features, configs, splits and examples from a layout."""

import io
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from etils import epath
from PIL import Image

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
                    "mask": io.BytesIO(_png(example["mask"])),
                    "landmarks": example.get("landmarks", np.zeros((0, 2), np.float32)),
                },
            )


def configs(layout: Layout) -> list[tfds.core.BuilderConfig]:
    """Return one config for each variant of a layout, the default first."""
    return [tfds.core.BuilderConfig(name=name, description=text) for name, text in layout.variants.items()]


def _png(mask: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()
