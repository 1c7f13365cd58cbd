"""TFDS data set `lapa`: LaPa, 11 classes and 106 landmarks."""

from input_pipeline.readers import downloads
from input_pipeline.readers.tfds.builders.face_parsing import FaceParsing


class Lapa(FaceParsing):
    """LaPa, 11 classes and 106 landmarks; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("lapa")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Unpack LaPa.tar.gz into manual_dir."
