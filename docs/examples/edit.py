"""Swap a part between two faces in Python.

    python docs/examples/edit.py [DIR]

Draws two faces, gives one the other's hair and eyes, and writes pictures into DIR (default: here). The model that comes
with the package has seen drawings; `Editor.load("runs/faces")` takes one of your own, and photos in place of drawings.
"""

# %% Two faces. Photos: paths instead of arrays.
import sys
from pathlib import Path

from PIL import Image

from input_pipeline.datasets import open_source
from l2s_jax import Editor

out = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
faces = open_source("synthetic:2?test", size=96)
one, other = faces[0]["image"], faces[1]["image"]

# %% A code has a slice for each region.
editor = Editor.load("l2s-synthetic")
print(f"regions: {', '.join(editor.regions)}")
a, b = editor.encode(one), editor.encode(other)

# %% The hair and eyes of b in the face of a; a walk from a to b. Codes have B faces, pictures are uint8 [B, S, S, 3].
pictures = {
    "one": editor.render(a)[0],
    "other": editor.render(b)[0],
    "swapped": editor.render(editor.swap(a, b, regions=["hair", "eyes"]))[0],
    "halfway": editor.render(editor.interpolate(a, b, steps=3))[1],
}
for name, pixels in pictures.items():
    Image.fromarray(pixels).save(out / f"{name}.png")
