"""TFDS data set `celebamask_hq`: CelebAMask-HQ, 19 classes, a config for each paint order."""

from input_pipeline.readers import downloads
from input_pipeline.readers.tfds.builders.face_parsing import FaceParsing, configs


class CelebamaskHq(FaceParsing):
    """CelebAMask-HQ, 19 classes, a config for each paint order; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("celebamask_hq")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack CelebAMask-HQ.zip into manual_dir and lay CelebA's list_eval_partition.txt beside it."
    )
    BUILDER_CONFIGS = configs(LAYOUT)
