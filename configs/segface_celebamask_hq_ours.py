"""SegFace on CelebAMask-HQ with our recipe: ConvNeXt-B, 512 px, 19 classes.

Head start  ImageNet weights of torchvision: --config.model.init_from=convnext_base-6075fbad.pth
Data        l2s data prepare CelebAMask-HQ --layout celebamask_hq/farl --out data/celebamask_hq
            (the authors paint masks in the order of FaRL, glasses over eyes)
Command     l2s train --config segface_celebamask_hq_ours
Hardware    8 accelerators with 40 GB; batch 32 over all of them, bfloat16
Time        60 epochs of 755 batches
Score       not yet trained. To beat: 89.22 (published ConvNeXt-B, last epoch), 89.68 (best public)
Recipe      flips with swapped ids and real augmentation; faces with rare classes are drawn more often; swapped
            sides corrected; cosine with warm-up, layer-wise decay of the rate, clipping, running average; the
            validation faces, which nobody uses, choose the checkpoint and end the training early
"""

from l2s_jax.config import default

FACES, BATCH, EPOCHS = 24_183, 32, 60


def get_config():
    config = default("segface").unlock()
    epoch = FACES // BATCH
    config.label_set = "farl19"
    config.image_size = 512
    config.precision.compute = "bfloat16"
    config.model.backbone = "convnext_base"
    config.data.train = "records:data/celebamask_hq?train"
    config.data.eval = "records:data/celebamask_hq?val"
    config.data.test = "records:data/celebamask_hq?test"
    config.data.batch_size = BATCH
    config.data.balance = 0.1
    config.data.fix_left_right = True  # left and right are exchanged in 7 % of the masks
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
