"""One reader a data set, for training and evaluation alike."""
