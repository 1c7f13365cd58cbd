"""SegFace (Narayan, VS and Patel, AAAI 2025): docs/methods/segface.md."""
