"""Latents2Segments (ours) at 512 px on 8 accelerators: the published encoder, all adversarial terms, bfloat16.

Command   l2s train --config l2s_512x8 --config.data.train='folder:CelebAMask-HQ?train'
Hardware  8 accelerators with 80 GB, parameters and Adam moments sharded in pairs (parallel.fsdp=2)
Time      not run; `l2s train --config l2s_512x8 --dry-run --devices 8` prints shapes, parameters, FLOPs and memory
Expected  not run
"""

from l2s_jax.config import default
from l2s_jax.systems.latents2segments.config import add_gan


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
    config.model.encoder = "residual"
    config.model.style = 2048
    config.model.slices = (8,) * 6
    config.model.presence.width = 128
    config.model.generator.head_widths = (256,)
    config.model.generator.widths = (256, 256, 128, 64)
    config.model.discriminator.channel_base = 32768
    config.model.discriminator.max_width = 512
    config.model.patch.channel_base = 4096
    config.model.patch.max_width = 384
    config.model.patch.head_widths = (2048, 2048, 1024)
    config.model.patch.crops = 8
    config.model.patch.crop_size = 128
    config.loss.first_half = True
    config.loss.independence = 0.1
    config.optim.encoder.learning_rate = 1e-3
    config.optim.encoder.warmup_steps = 1000
    config.optim.generator.learning_rate = 2e-3
    config.optim.ema = 0.9995
    config.train.steps = 300_000
    config.train.eval_every = config.train.save_every = 5000
    return config.lock()
