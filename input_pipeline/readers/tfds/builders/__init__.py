"""TFDS builders of raw downloads: `python -m input_pipeline.readers.tfds.builders lapa LaPa --data-dir DIR`.

They use the layouts (`readers.downloads`), so every rule about files and labels is written once. Images are stored as
encoded files, which needs no TensorFlow; `readers.tfds.source` reads them back.
"""
