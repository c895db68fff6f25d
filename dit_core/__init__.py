"""Everything one run of a Diffusion Transformer needs, and the language of a study."""

__version__ = "0.1.0"
