"""TFDS data set `celebamask_hq`: CelebAMask-HQ, 19 classes, a config for each paint order."""

from input_pipeline import layouts
from input_pipeline.tfds_builders.face_parsing import FaceParsing, configs


class CelebamaskHq(FaceParsing):
    """CelebAMask-HQ, 19 classes, a config for each paint order; see `FaceParsing`."""

    LAYOUT, _ = layouts.get("celebamask_hq")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack CelebAMask-HQ.zip into manual_dir and lay CelebA's list_eval_partition.txt beside it."
    )
    BUILDER_CONFIGS = configs(LAYOUT)
