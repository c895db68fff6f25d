"""VAE latents: encoding a folder of images, shards, reading them back."""
