"""A first recipe out of what a user has: the teacher's files, and data."""
