"""A trained parser as a file that needs none of this library: StableHLO, ONNX, and a page for the browser."""
