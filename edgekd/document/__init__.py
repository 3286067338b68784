"""The shapes of the documents that edgekd writes and reads again: one module a document, TypedDicts and little else.

``edgekd.base.reader`` holds a document against its shape. Keys that a shape does not name are passed over, since a
later version may write more; where nothing may stand unseen the shape is ``closed``. ``edgekd schema`` prints
them as JSON Schemas.

May import base alone, and no third party. ``report`` (made of ``candidate`` and ``details``), ``samples``, ``manifest``
and ``decisions`` stand in a bundle; ``tune``, ``bench`` and ``commands`` are what commands print or leave; ``cache``,
``reply``, ``machine`` and ``kernel`` are what processes tell each other; ``rules`` is what values are held to.
"""
