"""SegFace on LaPa with the authors' recipe: Swin-B, 512 px, 11 classes, faces warped by their landmarks.

Head start  ImageNet weights of torchvision: --config.model.init_from=swin_b-68c6b09e.pth (the authors always use them)
Data        l2s data prepare LaPa --layout lapa --out data/lapa
Command     l2s train --config segface_lapa
Hardware    8 GPUs with 48 GB (published); batch 32 over all of them
Time        300 epochs of 568 batches
Score       published, test, 512 px: mean F1 93.03 over 10 classes, last epoch. Not yet trained here.
Recipe      as segface_celebamask_hq; turned by up to 30 degrees, magnified 0.5 to 3 times (drawn evenly) and shifted,
            black and background outside, most of which the alignment undoes. The data set's landmarks are used in
            testing as well.
Departures  as segface_celebamask_hq; the shift is up to 4 % of the side, where the authors' is up to 20 pixels of the
            photo, whatever its size
"""

from l2s_jax.config import default
from l2s_jax.systems.segface.config import published, published_schedule

FACES = 18_176


def get_config():
    config = published(default("segface").unlock())
    config.label_set = "lapa"
    config.image_size = 512
    config.model.backbone = "swin_base"
    config.model.warp = "published"
    config.data.train = "records:data/lapa?train"
    config.data.eval = "records:data/lapa?val"
    config.data.test = "records:data/lapa?test"
    config.data.batch_size = 32
    config.data.workers = 8
    config.data.augment.rotate = 30.0
    config.data.augment.scale_min, config.data.augment.scale_max = 0.5, 3.0
    config.data.augment.scale_log = False
    config.data.augment.shift = 0.04  # 20 of 512 pixels
    config.data.augment.edge = config.data.augment.ignore_outside = False
    config.data.augment.fill = 0
    published_schedule(config, FACES)
    return config.lock()
