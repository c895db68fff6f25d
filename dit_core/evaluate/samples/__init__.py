"""The samples of an evaluation: noise, labels, generation, decoding, pictures."""
