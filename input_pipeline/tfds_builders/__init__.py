"""TFDS data sets made of raw downloads: `python -m input_pipeline.tfds_builders lapa LaPa --data-dir DIR`.

They stand on the layouts, so every rule about files and labels is written once, in `input_pipeline.layouts`. Pictures
are stored as the encoded files they are, which needs no TensorFlow; `input_pipeline.tfds_source` reads them back.
"""
