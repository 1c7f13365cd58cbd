from l2s_jax.config import default


def get_config():
    config = default("latents2segments").unlock()
    config.image_size = 128
    faces = "folder:../shared/data/celebamask_mini"
    config.data.train = f"{faces}?train[:740]"
    config.data.eval = f"{faces}?train[740:]"  # chooses the best checkpoint; the val faces choose nothing
    config.data.test = f"{faces}?val"
    config.data.batch_size = 16
    config.data.cache = True
    config.train.steps = 1200
    config.train.max_minutes = 88.0
    config.train.log_every = 50
    config.train.eval_every = 250
    config.train.save_every = 250
    config.schedule.autoencode_every = 3
    config.loss.first_half = True
    config.model.code_noise = 0.05
    config.optim.encoder.decay = "cosine"
    return config.lock()
