"""TFDS data sets made of raw downloads: `python -m input_pipeline.readers.tfds.builders lapa LaPa --data-dir DIR`.

They stand on the layouts (`readers.downloads`), so every rule about files and labels is written once. Pictures are
stored as the encoded files they are, which needs no TensorFlow; `readers.tfds.source` reads them back.
"""
