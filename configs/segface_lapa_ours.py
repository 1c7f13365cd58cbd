"""SegFace on LaPa with our recipe: ConvNeXt-B, 512 px, 11 classes, faces warped by their landmarks without a drift.

Head start  ImageNet weights of torchvision: --config.model.init_from=convnext_base-6075fbad.pth
Data        l2s data prepare LaPa --layout lapa --out data/lapa
Command     l2s train --config segface_lapa_ours
Hardware    8 accelerators with 40 GB; batch 32 over all of them, bfloat16
Time        60 epochs of 568 batches
Score       not yet trained. To beat: 93.03 (published Swin-B), 94.04 (best public)
Recipe      as segface_celebamask_hq_ours, with the exact tanh warp
"""

from l2s_jax.config import default

FACES, BATCH, EPOCHS = 18_176, 32, 60


def get_config():
    config = default("segface").unlock()
    epoch = FACES // BATCH
    config.label_set = "lapa"
    config.image_size = 512
    config.precision.compute = "bfloat16"
    config.model.backbone = "convnext_base"
    config.model.warp = "exact"
    config.data.train = "records:data/lapa?train"
    config.data.eval = "records:data/lapa?val"
    config.data.test = "records:data/lapa?test"
    config.data.batch_size = BATCH
    config.data.workers = 8
    config.train.steps = EPOCHS * epoch
    config.train.eval_every = 2 * epoch
    config.train.patience = 8
    config.train.save_every = epoch
    config.optim.network.learning_rate = 3e-4
    config.optim.network.warmup_steps = 2 * epoch
    config.optim.stage_decay = 0.7
    config.optim.ema = 0.9995
    return config.lock()
