"""TFDS data set `helen`: Helen, 11 classes and 68 landmarks."""

from input_pipeline.readers import downloads
from input_pipeline.readers.tfds.builders.face_parsing import FaceParsing


class Helen(FaceParsing):
    """Helen, 11 classes and 68 landmarks; see `FaceParsing`."""

    LAYOUT, _ = downloads.get("helen")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack Helen, as relabelled by its face-parsing authors, with landmarks.txt into manual_dir."
    )
