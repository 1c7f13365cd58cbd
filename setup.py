"""The packages of a wheel, which setup.cfg cannot say: those that are found, and the experiments of configs/.

The files of configs/ have one place in the repository and come into a wheel as `l2s_jax/configs` (see
l2s_jax/config/experiments.py). Everything else is in setup.cfg.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["l2s_jax*", "input_pipeline*"]), "l2s_jax.configs"],
    package_dir={"l2s_jax.configs": "configs"},
)
