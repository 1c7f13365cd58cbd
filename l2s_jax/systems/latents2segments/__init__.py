"""Latents2Segments (Tomar and Rajagopalan, CVPR Workshops 2022): docs/methods/latents2segments.md."""
