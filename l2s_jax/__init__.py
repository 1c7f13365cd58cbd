"""Part-aware face representation in JAX: face parsing and disentangled face autoencoders."""

__version__ = "0.1.0"
