"""The authors' VNect weights, read without Caffe.  Nothing that a file contains is run."""
