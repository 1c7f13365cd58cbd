"""`OnnxParser`: a `Parser` whose network runs in ONNX Runtime."""

import numpy as np
import onnxruntime

from input_pipeline.errors import UserError
from l2s_jax.export import onnx_file
from l2s_jax.export.segmenter import INPUT, OUTPUTS, segmenter
from l2s_jax.inference.parser import Parser
from l2s_jax.pixels import to_bytes


class OnnxParser(Parser):
    """A face parser in ONNX Runtime on the CPU; arguments, results and errors are those of `Parser`.

    The network is converted when the parser is made, which takes seconds. Models that align faces by landmarks parse
    them unaligned.
    """

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors
        parser = segmenter(self.predict, self.variables, self.model.system.label_set, self.model.meta)
        network = onnx_file.convert(parser).SerializeToString()
        self._session = onnxruntime.InferenceSession(network, options, providers=["CPUExecutionProvider"])
        self._forward = self._run

    def _run(self, variables, image: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
        """Return probabilities [B, S, S, K] of squares [B, S, S, 3] in [-1, 1], which came from bytes."""
        del variables  # they are in the session
        if landmarks is not None:
            raise UserError("ONNX Runtime does not align faces by landmarks: leave them out, or use the other engine")
        return self._session.run([OUTPUTS[0]], {INPUT: to_bytes(image)})[0]
