"""Metrics: how good answers are. One file each; numpy, and scikit-learn where it has the formula."""
