"""What an app and a device need: bundles, their models, backends, devices, measuring. Its door is bytes.

May import base, tasks and document, with numpy and, on load, the one runtime. Its public names are its modules, and
the plugin families ``backends`` and ``devices``.
"""
