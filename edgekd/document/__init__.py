"""The shapes of the documents that edgekd writes and reads again: one module a document, TypedDicts and nothing else.

May import base: ``edgekd.base.reader`` holds a document against its shape. Keys that a shape does not name are passed
over, since a later version may write more; where nothing may stand unseen the shape is ``closed``.
"""
