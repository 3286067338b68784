"""The channels of a network: which can only go together, which are worth least, and the network without some of them.

``tracing`` runs the network and labels (``ledger``) what its operators make, by their ``rules``; ``units`` gathers what
can only go as a whole; ``surgery`` and ``resized`` make the network without some, and ``trials`` holds it against the
whole one. ``pruning`` is the door.
"""
