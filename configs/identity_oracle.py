"""Face Identity Disentanglement on drawn faces whose factors can be read off any code, all networks from nothing.

The first 1000 batches train the identity and landmark networks, 3800 the mapper. No discriminator of codes: every code
of the oracle is a face, so that it has nothing to forbid (schedule.adversarial_every=2 turns it on).

Command   l2s train --config identity_oracle
Hardware  2 CPU cores
Time      15 min 40 s from start to report
Score     512 pairs of unseen people, seeds 0, 1, 2: cosine .874 +- .046 (.869 .831 .923) to the identity image,
          .062 +- .010 to the attribute image (the second network .836, .049); landmarks .67 +- .03 px from the
          attribute image's by E_lnd, .99 px by the factors (another face's 6.4); 7, 7, 8 of 14 identity factors and
          9, 8, 8 of 10 attribute factors correlate above .5, mouth opening .95, smile .53 +- .11, eye opening .57
Limits    width of the mouth and size and distance of the eyes come from the attribute image, whose landmarks hold them;
          the side of the light is lost
"""

from l2s_jax.config import default


def get_config():
    config = default("id_disentanglement").unlock()
    config.data.train = "random:1000000"  # each a face of its own, drawn when it is needed
    config.data.eval, config.data.test = "random:256?val", "random:512?test"
    config.data.batch_size, config.eval.batch_size = 16, 64
    config.encoders.steps = 1000
    config.schedule.adversarial_every = 0
    config.train.steps = 4800
    config.train.log_every = 50
    config.train.eval_every = 0  # the last state is the best: rates fall to 0
    config.train.save_every = 500
    config.train.best_metric = "transfer.score"
    return config.lock()
