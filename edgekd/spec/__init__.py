"""What a user writes: recipes, targets, and the tables in them, parsed and checked by pydantic; the built-in recipes.

May import base and tasks. Its public names are its modules; ``recipe.load`` and ``target.load`` are the doors.
"""
