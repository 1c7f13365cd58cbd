"""SegFace (ours) on 800 labelled real faces, sized for two CPU cores: 18 classes at 256 px.

The faces are a subset of CelebAMask-HQ (non-commercial research) in data/celebamask_mini, official class order;
docs/data.md says how to make it, --config.data.root=DIR where data/ is. 740 of the 800 train faces train, the other 60
choose the checkpoint, the 100 val faces are scored once.
Most batches are of small pictures, which cost a quarter (128 px) or half (192 px); the last ones have the full size.

Command   l2s train --config segface_mini
Hardware  2 CPU cores, or any accelerator
Time      137 CPU minutes
Score     val, once: mean F1 0.770 over 18 classes (0.769 at 512 px), mean IoU 0.675; without the necklace 0.815
"""

from l2s_jax.config import default


def get_config():
    config = default("segface").unlock()
    config.label_set = "celebamask"
    config.image_size = 256
    faces = "folder:data/celebamask_mini"
    config.data.train = f"{faces}?train[:740]"
    config.data.eval = f"{faces}?train[740:]"  # chooses the best checkpoint; the val faces choose nothing
    config.data.test = f"{faces}?val"
    config.data.batch_size = 16
    config.data.balance = 0.1  # hats, glasses and necklaces are on one face in twenty
    config.data.cache = True
    config.data.fix_left_right = True  # left and right are exchanged in 7 % of the masks
    config.data.resolution_schedule = ((2900, 128), (5000, 192))
    config.data.augment.rotate = 15.0
    config.data.augment.scale_min = 0.75
    config.data.augment.scale_max = 1.3
    config.train.steps = 6050
    config.train.max_minutes = 88.0
    config.train.log_every = 50
    config.train.eval_every = 290
    config.train.save_every = 290
    config.eval.batch_size = 20
    config.model.backbone = "mini"
    config.model.channels = 96
    config.model.mirror = True
    config.model.decoder.depth = 1
    config.model.decoder.heads = 4
    config.model.decoder.mlp = 512
    config.model.decoder.doublings = 1
    config.optim.network.learning_rate = 2e-3
    config.optim.network.warmup_steps = 100
    config.optim.ema = 0.998
    return config.lock()
