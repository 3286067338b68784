"""Pure rules over what was measured: nothing is trained, run or read here.

May import base, document and spec. Its public names are its modules: ``budget`` (the one rule), ``choose``,
``fallbacks`` (why a candidate does not ship), ``doubts``, ``standing``,
``abstain`` (when an answer is sure), ``class_distance``.
"""
