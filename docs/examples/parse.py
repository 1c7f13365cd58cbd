"""Masks of a photo in Python.

    python docs/examples/parse.py photo.jpg

Writes the parts in colour, the person without the background and the probability of hair beside the photo; `# %%`
begins a cell for editors that know them.
"""

# %% The parser that comes with the package: CelebAMask-HQ's 19 classes, 256 px, no download.
import sys
from pathlib import Path

from PIL import Image

from l2s_jax import Parser

parser = Parser()
print(f"{parser.model.meta.name}: {', '.join(parser.label_set.names)}")

# %% A path, a PIL image or an array uint8 [H, W, 3]; the answer has the photo's own size.
photo = Path(sys.argv[1])
parsing = parser(photo)
print(f"ids {parsing.ids.shape} {parsing.ids.dtype}, {len(parsing.faces or ())} face(s), doubt {parsing.doubt}")
for name, share in parsing.areas().items():
    if share:
        print(f"{name:>10} {share:6.1%} of the photo")

# %% Pictures, and numbers for whatever comes next.
parsing.overlay().save(photo.with_suffix(".parts.png"))
parsing.cutout(soft=True).save(photo.with_suffix(".cutout.png"))
hair = parsing.probabilities("hair")  # float32 [H, W]
Image.fromarray((hair * 255).astype("uint8")).save(photo.with_suffix(".hair.png"))
eyes = parsing.region("eyes")  # bool [H, W]
print(f"{eyes.sum()} pixels of eyes")
