"""Student in, trained student out: networks, data, losses, views of samples, and the one training loop.

May import base, tasks, spec and metrics, with torch. Its public names are its modules, and the plugin families
``data``, ``losses`` and ``models``.
"""
