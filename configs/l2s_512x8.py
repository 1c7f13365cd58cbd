"""Latents2Segments (ours) at 512 px on 8 accelerators: composed faces are judged, bfloat16.

Command   l2s train --config l2s_512x8 --config.data.train='folder:CelebAMask-HQ?train'
Hardware  8 accelerators with 80 GB, parameters and Adam moments sharded in pairs (parallel.fsdp=2)
Time      not run; `l2s train --config l2s_512x8 --dry-run --devices 8` prints shapes, parameters, FLOPs and memory
Expected  not run
"""

from l2s_jax.config import default
from l2s_jax.systems.sliced.fields import add_gan


def get_config():
    config = add_gan(default("latents2segments").unlock())
    config.image_size = 512
    config.precision.compute = "bfloat16"
    config.parallel.fsdp = 2
    config.data.train = "folder:CelebAMask-HQ?train"
    config.data.eval = "folder:CelebAMask-HQ?val"
    config.data.batch_size = 32
    config.data.workers = 8
    config.eval.batch_size = 32
    config.model.style = 128
    config.model.slices = (16,) * 6
    config.model.pyramid.widths = (64, 128, 256, 512, 512)
    config.model.pyramid.depths = (1, 2, 2, 2, 2)
    config.model.pyramid.light_width = 64
    config.model.decoder.width = 128
    config.model.decoder.blocks = 4
    config.model.discriminator.channel_base = 32768
    config.model.discriminator.max_width = 512
    config.loss.independence = 0.5
    for network in ("encoder", "generator"):
        config.optim[network].learning_rate = 1e-3
        config.optim[network].warmup_steps = 1000
    config.optim.ema = 0.9995
    config.train.steps = 300_000
    config.train.eval_every = config.train.save_every = 5000
    return config.lock()
