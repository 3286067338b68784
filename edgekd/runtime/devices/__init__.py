"""Machines to measure on: one kind a file."""
