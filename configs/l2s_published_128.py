"""Latents2Segments as published: CelebAMask-HQ at 128 px.

Sizes, loss weights, alternation and Adam are those of the authors' code (encoder 30.585 M, generator 25.065 M, image
discriminator 28.385 M, patch discriminator 24.522 M parameters).

Departures: flips are joint; one image of each pair is reconstructed, where they took the first half of the batch; the
checkpoint is chosen on the validation faces, where they do not say which one they scored.

Head start  the authors' Swapping Autoencoder of FFHQ at 512 px: --config.model.init_from=FILE. Encoder, generator and
            patch discriminator are taken over, the image discriminator, which is for 512 px, starts fresh. Without it
            all start fresh.
Faces       those that show all five regions, in training and in scoring (the paper counts 27,016 and 862; how it asked
            for "all" it does not say, and its halves of the data are not the official ones)

Command     l2s train --config l2s_published_128 --config.data.train='folder:CelebAMask-HQ?train'
Hardware    one accelerator with 16 GB or more; --dry-run prints the cost of a step
Time        the paper states neither steps nor hours
Expected    mean F1 0.729 over hair, skin, nose, eyes, lips and ACS 0.819 (Tables 1 and 2 of the paper); not run by us
"""

from l2s_jax.config import default
from l2s_jax.systems.latents2segments.config import published


def get_config():
    config = published(default("latents2segments").unlock())
    config.image_size = 128
    config.data.train = "folder:CelebAMask-HQ?train"
    config.data.eval = "folder:CelebAMask-HQ?val"
    config.data.require = ("hair", "skin", "nose", "eyes", "lips")
    config.data.require_scored = True
    config.data.batch_size = 2
    config.data.workers = 4
    config.train.steps = 2_000_000
    config.train.eval_every = config.train.save_every = 10_000
    return config.lock()
