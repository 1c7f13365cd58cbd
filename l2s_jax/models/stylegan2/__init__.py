"""The networks of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): mapping, synthesis, both as one generator.

Its discriminator is models/discriminator.py with minibatch deviation. config.py: the fields of both, and their `build`.
"""
