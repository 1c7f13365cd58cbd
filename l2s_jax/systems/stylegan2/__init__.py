"""StyleGAN2 (Karras et al., CVPR 2020): docs/methods/stylegan2.md."""
