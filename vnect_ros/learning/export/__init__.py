"""From a trained network to the ONNX files of a bundle, each checked against torch."""
