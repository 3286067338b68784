"""Student -> ONNX model -> bytes: the export, the column of graph passes, the checker.

May import base, tasks, spec, metrics and learn, with onnx and onnxscript. Its public names are its modules; ``passes``
holds the graph passes.
"""
