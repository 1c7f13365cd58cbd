"""SegFace on Helen with the authors' recipe: Swin-B, 512 px, 11 classes, faces cropped, no augmentation.

Head start  ImageNet weights of torchvision: --config.model.init_from=swin_b-68c6b09e.pth (the authors always use them)
Data        l2s data prepare helen --layout helen --out data/helen
Command     l2s train --config segface_helen
Hardware    8 GPUs with 48 GB (published); batch 16 over all of them
Time        300 epochs of 112 batches
Score       the authors give none. Not yet trained here.
Recipe      as segface_celebamask_hq, with batches of 16; a square of 1.2 times the landmarks is all that is seen. Their
            validation faces are their test faces; here the last 200 training faces watch the training, which chooses no
            checkpoint: the last epoch is the model.
Departures  as segface_celebamask_hq (their Dice is of each GPU's 2 faces). Their square is clipped to the photo, then
            stretched (`face_inside`), and so it is here.
"""

from l2s_jax.config import default
from l2s_jax.systems.segface.config import published, published_schedule

FACES = 1_800


def get_config():
    config = published(default("segface").unlock())
    config.label_set = "helen"
    config.image_size = 512
    config.model.backbone = "swin_base"
    config.data.train = "records:data/helen?train[:-200]"
    config.data.eval = "records:data/helen?train[-200:]"
    config.data.test = "records:data/helen?test"
    config.data.framing = "face_inside"
    config.data.batch_size = 16
    config.data.workers = 8
    published_schedule(config, FACES)
    config.train.save_every = config.train.eval_every
    return config.lock()
