"""TensorRT in parts: the driver's probe, the graph, the build, the cache, the run.

Works with TensorRT 10.3, 10.16 and 11: networks are strongly typed, so that the
precision lives in the ONNX file and no flag of one version is needed.
"""
