"""What every part may use, and what travels to a device with ``runtime``: errors, disk, plugins, preprocessing, limits.

May import the standard library and numpy. Its public names are its modules.
"""
