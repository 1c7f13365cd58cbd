"""Structure via consensus (Masi, Mathai and AbdAlmageed, CVPR 2020): docs/methods/structure_via_consensus.md."""
