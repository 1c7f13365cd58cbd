"""Face Identity Disentanglement (Nitzan et al., SIGGRAPH Asia 2020): docs/methods/id_disentanglement.md."""
