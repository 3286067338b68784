"""Other people's quantizers on our nets: each in an environment of its own, then measured in ours.

``environments`` makes the environments, ``nets`` the folders that every peer reads, ``quantize`` runs the peers, and
``score`` and ``timing`` say what came of it. The other modules are one peer each: they run in that peer's environment.
"""
