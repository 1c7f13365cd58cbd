"""The generative half that systems share: autoencoders whose code has one slice for each region, decoded by itself.

networks.py (encode, paint, compose), losses.py, autoencoder.py (state, steps, codec), initial.py, fields.py (their
config). A system gives its networks and its defaults. It has no `system.py`, so it is none itself.
"""
