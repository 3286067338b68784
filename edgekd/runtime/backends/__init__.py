"""Backends, a folder each: ``__init__`` states facts (``FACTS``, see ``base/backend_facts.py``) without the runtime;
``backend.py`` imports the runtime and holds the class, ``ort_cuda/backend.py`` ``OrtCuda``. Nothing else lists them.
"""
