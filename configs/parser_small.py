"""The shipped parser, first stage: SegFace's recipe without class tokens (ours), 1.65 M parameters.

The faces are those of configs/segface_mini.py (CelebAMask-HQ, non-commercial research): 740 of the 800 train faces
train, the other 60 choose the checkpoint, the 100 val faces are scored once. Views are turned, moved, worn and partly
hidden by patches, whose pixels are background.

Command   l2s train --config parser_small
Hardware  2 CPU cores, or any accelerator
Time      55 minutes beside other work
Score     val, once, one seed: mean F1 0.744 over 18 classes (mean mask 0.336), 0.817 by the rule of the course
          challenge (0.501), 0.866 over seven merged classes (0.560); 0.772, 0.835, 0.887 after the second stage,
          configs/parser_small_longer.py
Limits    aligned portraits of celebrities; necklaces are not found, hats and earrings badly
"""

from l2s_jax.config import default

PIXEL_SHARES = (
    0.29,
    0.26,
    0.021,
    0.003,
    0.0022,
    0.0022,
    0.0042,
    0.0042,
    0.0047,
    0.004,
    0.0028,
    0.0041,
    0.0067,
    0.31,
    0.011,
    0.002,
    0.00011,
    0.041,
    0.033,
)
"""Of the 740 faces, by `l2s data stats`, in the order of the classes."""


def get_config():
    config = default("segface").unlock()
    config.label_set = "celebamask"
    config.image_size = 256
    faces = "folder:data/celebamask_mini"
    config.data.train = f"{faces}?train[:740]"
    config.data.eval = f"{faces}?train[740:]"  # chooses the best checkpoint; the val faces choose nothing
    config.data.test = f"{faces}?val"
    config.data.batch_size = 16
    config.data.balance = 0.15  # hats, glasses and necklaces are on one face in twenty
    config.data.cache = True
    config.data.fix_left_right = True  # left and right are exchanged in 7 % of the masks
    config.data.resolution_schedule = ((3000, 128), (4300, 192))
    augment = config.data.augment
    augment.rotate, augment.shift, augment.scale_min, augment.scale_max = 25.0, 0.1, 0.65, 1.35
    augment.occlude, augment.occlude_size, augment.occlude_hides = 0.2, 0.4, True
    augment.brightness, augment.contrast, augment.tint = 0.4, 0.3, 0.1
    augment.blur, augment.blur_sigma, augment.jpeg, augment.jpeg_quality = 0.15, 1.5, 0.15, 20
    config.train.steps = 4650
    config.train.log_every = 50
    config.train.eval_every = config.train.save_every = 290
    config.eval.batch_size = 20
    config.model.backbone = "mini_small"
    config.model.pyramid = (40, 64, 96)
    config.loss.rarity, config.loss.pixel_shares = 0.3, PIXEL_SHARES
    config.optim.network.learning_rate = 3e-3
    config.optim.network.warmup_steps = 100
    config.optim.ema = 0.997
    return config.lock()
