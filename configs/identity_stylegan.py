"""Face Identity Disentanglement with networks that were trained before: StyleGAN2, identity encoder, landmarks.

Command   l2s train --config stylegan2_synthetic --workdir runs/stylegan2
          l2s train --config identity_synthetic --workdir runs/identity
          l2s train --config landmarks_synthetic --workdir runs/landmarks
          l2s train --config identity_stylegan
Hardware  2 CPU cores, 3 batches a second beside other work
Score     3,000 batches, 512 pairs of unseen faces, one seed: identity cosine 0.976, to the attribute image 0.709, to
          strangers 0.667; landmarks 0.72 px (another face 1.56); AUC of "same person?" by dlib 0.69, by FaceRes 0.75
Limits    not run to its end; the identity network knows drawings and takes all faces of the generator for relatives; no
          factors are known of them, so that the scores have neither the exact answer nor correlations of factors
"""

from l2s_jax.config import default


def get_config():
    config = default("id_disentanglement").unlock()
    config.generator.kind, config.generator.model = "stylegan2", "runs/stylegan2"
    config.encoders.steps = 0
    config.encoders.identity, config.encoders.landmarks = "runs/identity", "runs/landmarks"
    config.model.identity.width = config.model.landmarks.width = 32
    config.model.attributes.width = 32
    config.model.mapper.widths, config.model.discriminator.widths = (512, 256, 256), (128, 64, 32)
    config.data.train = "random:1000000"
    config.data.eval, config.data.test = "random:256?val", "random:512?test"
    config.data.batch_size, config.eval.batch_size = 16, 64
    config.train.steps = 20_000
    config.train.log_every, config.train.eval_every, config.train.save_every = 100, 2000, 2000
    config.train.best_metric = "transfer.score"
    return config.lock()
