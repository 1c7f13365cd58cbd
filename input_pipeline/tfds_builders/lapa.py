"""TFDS data set `lapa`: LaPa, 11 classes and 106 landmarks."""

from input_pipeline import layouts
from input_pipeline.tfds_builders.face_parsing import FaceParsing


class Lapa(FaceParsing):
    """LaPa, 11 classes and 106 landmarks; see `FaceParsing`."""

    LAYOUT, _ = layouts.get("lapa")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Unpack LaPa.tar.gz into manual_dir."
