"""Structure via Consensus, stage 1: FaceOccNet at published size learns from another model, 128 px, skin and hair.

Teacher     any model of this project, here the one of configs/segface_celebamask_hq; --config.teacher.model=NAME|PATH
Data        photos of faces, which need no masks: DIR/images/NAME.jpg; masks only of the faces that are scored
Command     l2s train --config svc_stage1
Hardware    1 accelerator with 16 GB
Time        170,000 batches, as far as the published curve goes; batch size, optimiser and rate are not published
Score       not yet trained
Recipe      the authors' loss: consensus 10 : 5 alone, on the teacher's most probable classes. With soft labels instead,
            and cross entropy's gradient: --config.teacher.labels=soft --config.loss.divergence=1
Occlusion   --config.label_set=face_occlusion, with a teacher that knows what covers a face
"""

from l2s_jax.config import default
from l2s_jax.systems.structure_via_consensus.config import published


def get_config():
    config = published(default("structure_via_consensus").unlock())
    config.stage = "teacher"
    config.teacher.model = "segface_celebamask_hq"
    config.data.train = "folder:data/photos"
    config.data.eval = "records:data/celebamask?val"
    config.data.test = "records:data/celebamask?test"
    config.data.batch_size = 32
    config.data.workers = 8
    config.train.steps = 170_000
    config.train.eval_every = 5000
    config.train.save_every = 5000
    return config.lock()
