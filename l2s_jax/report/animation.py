"""Make an animated GIF of frames."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

COLORS = 256  # all that a GIF has


def gif(frames: Sequence[np.ndarray], milliseconds: int, comment: str = "", *, back: bool = True) -> bytes:
    """Encode frames as an animated GIF that runs for ever.

    All frames share one palette, so that nothing flickers where nothing changes.

    Args:
      frames: uint8 [H, W, 3] of one size, at least 2.
      milliseconds: how long each is shown; GIF counts in hundredths of a second.
      comment: text in the file.
      back: it runs forwards and back again, else always forwards.
    """
    order = [*frames, *frames[-2:0:-1]] if back else frames
    # The palette of a picture that holds every frame, at a size that is quick to count. Not of the most frequent
    # colours (median cut), among which those of edited lips or eyes are lost: of colours that cover all there are.
    reduced = [Image.fromarray(frame).resize((64, 64), Image.Resampling.BOX) for frame in frames]
    together = Image.new("RGB", (64, 64 * len(reduced)))
    for number, frame in enumerate(reduced):
        together.paste(frame, (0, 64 * number))
    palette = together.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=3)
    first, *rest = (Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in order)
    buffer = io.BytesIO()
    first.save(
        buffer, "GIF", save_all=True, append_images=rest, duration=milliseconds, loop=0, comment=comment.encode()
    )
    return buffer.getvalue()
