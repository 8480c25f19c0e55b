"""Other people's VNect weights, read without the frameworks that wrote them.

Nothing here executes what a file contains: protocol buffers are decoded by hand,
pickles by an unpickler that knows arrays and dictionaries only.
"""
