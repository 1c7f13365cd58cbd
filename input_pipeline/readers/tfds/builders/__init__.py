"""TFDS data sets made of raw downloads: `python -m input_pipeline.readers.tfds.builders lapa LaPa --data-dir DIR`.

They stand on the layouts, so every rule about files and labels is written once, in `input_pipeline.readers.downloads`. Pictures
are stored as the encoded files they are, which needs no TensorFlow; `input_pipeline.readers.tfds.source` reads them back.
"""
