"""The Python door: ``edgekd.build`` (``building``) and ``edgekd.tune`` (``tuning``), with what the command does.

May import every other package; ``bench``, ``load`` and ``verify`` stand in ``runtime``, which apps have alone.
"""
