"""Latents2Segments as published on Helen: two slices of four channels, hair and skin, no background, 128 px.

Everything else is as in l2s_published_128. The paper says that Helen has too few faces for five regions and shows
pictures only; which pixels are skin it does not say. Here they are the whole face without the ears.

Head start  as l2s_published_128
Data        l2s data prepare helen --layout helen --out data/helen
Command     l2s train --config l2s_published_helen
Hardware    one accelerator with 16 GB or more; --dry-run prints the cost of a step
Time        the paper states neither steps nor hours
Expected    the paper gives no number for Helen; not run by us
"""

from l2s_jax.config import default
from l2s_jax.systems.latents2segments.config import helen, published


def get_config():
    config = helen(published(default("latents2segments").unlock()))
    config.image_size = 128
    config.data.train = "records:data/helen?train[:-200]"
    config.data.eval = "records:data/helen?train[-200:]"
    config.data.test = "records:data/helen?test"
    config.data.batch_size = 2
    config.data.workers = 4
    config.train.steps = 2_000_000
    config.train.eval_every = config.train.save_every = 10_000
    return config.lock()
