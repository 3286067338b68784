"""The search for a student that meets a budget: its space, its study, its trials, and the rules of what goes on.

May import build and all below it, and report for its page; what makes a bundle of the best trial is given to it. Its
public names are its modules; ``edgekd.tune`` is also the function of the Python door.
"""

from edgekd.base.doors import callable_package

callable_package(__name__)
