"""What goes into a bundle for others to trust and use: its record, programs, cards, bill of materials, signature.

May import all but tune, cli and api. Its public names are its modules; ``examples`` holds the programs' templates.
"""
