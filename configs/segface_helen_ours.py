"""SegFace on Helen with our recipe: ConvNeXt-B, 512 px, 11 classes, faces cropped.

Head start  a model trained on LaPa, which has the same classes: --config.model.init_from=runs/segface_lapa_ours
Data        l2s data prepare helen --layout helen --out data/helen
Command     l2s train --config segface_helen_ours
Hardware    8 accelerators with 40 GB; batch 16 over all of them, bfloat16
Time        120 epochs of 112 batches
Score       not yet trained. To beat: 93.8 overall (DML-CSR)
Recipe      as segface_celebamask_hq_ours; the last 200 training faces choose the checkpoint
"""

from l2s_jax.config import default

FACES, BATCH, EPOCHS = 1_800, 16, 120


def get_config():
    config = default("segface").unlock()
    epoch = FACES // BATCH
    config.label_set = "helen"
    config.image_size = 512
    config.precision.compute = "bfloat16"
    config.model.backbone = "convnext_base"
    config.data.train = "records:data/helen?train[:-200]"
    config.data.eval = "records:data/helen?train[-200:]"
    config.data.test = "records:data/helen?test"
    config.data.framing = "face"
    config.data.batch_size = BATCH
    config.data.workers = 8
    config.train.steps = EPOCHS * epoch
    config.train.eval_every = 5 * epoch
    config.train.patience = 8
    config.train.save_every = 5 * epoch
    config.optim.network.learning_rate = 3e-4
    config.optim.network.warmup_steps = 4 * epoch
    config.optim.stage_decay = 0.7
    config.optim.ema = 0.999
    return config.lock()
