"""SegFace on CelebAMask-HQ with the authors' recipe: Swin-B, 512 px, 19 classes, no augmentation.

Head start  ImageNet weights of torchvision: --config.model.init_from=swin_b-68c6b09e.pth (the authors always use them)
Data        l2s data prepare CelebAMask-HQ --layout celebamask_hq/farl --out data/celebamask_hq
            (the authors paint masks in the order of FaRL, glasses over eyes)
Command     l2s train --config segface_celebamask_hq
Hardware    8 GPUs with 48 GB (published); batch 32 over all of them
Time        300 epochs of 755 batches
Score       published, test, 512 px: mean F1 88.96 over 18 classes, last epoch. Not yet trained here.
Recipe      0.5 cross entropy + 0.5 Dice over all classes, AdamW 1e-4 with decay 1e-5 on everything, a tenth of the rate
            after 80 and 200 epochs; no warm-up, clipping or running average; pictures are stretched to the square; the
            last epoch is the model
Departures  Dice, and the statistics of backbones with batch normalisation, are those of the whole batch of 32, where
            the authors' are of each GPU's 4 faces; training pictures are resized by a bilinear map, where theirs are
            bicubic (those that are scored are bicubic here too); the shuffling is our own
"""

from l2s_jax.config import default
from l2s_jax.systems.segface.config import published, published_schedule

FACES = 24_183


def get_config():
    config = published(default("segface").unlock())
    config.label_set = "farl19"
    config.image_size = 512
    config.model.backbone = "swin_base"
    config.data.train = "records:data/celebamask_hq?train"
    config.data.eval = "records:data/celebamask_hq?val"
    config.data.test = "records:data/celebamask_hq?test"
    config.data.batch_size = 32
    config.data.workers = 8
    published_schedule(config, FACES)
    return config.lock()
