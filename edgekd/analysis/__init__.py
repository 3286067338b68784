"""What a trained student is looked at for: similarity to its teacher, layers, losses, attribution.

May import build and all below it. Its public names are its modules.
"""
