"""What every part may use and what travels to a device: the standard library and numpy."""
