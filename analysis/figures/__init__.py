"""One small file per figure: a frame goes in, a matplotlib Figure comes out."""
