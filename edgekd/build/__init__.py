"""From a checked request to measured candidates: the steps of a build, which ``tune`` runs, too.

May import base, tasks, spec, document, metrics, learn, compress, lower, runtime, teachers, loggers and decide. Its
public names are its modules; ``edgekd.build`` is also the function of the Python door.
"""

from edgekd.base.doors import callable_package

callable_package(__name__)
