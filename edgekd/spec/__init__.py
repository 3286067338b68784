"""What a user writes: recipes, targets, and the tables in them, parsed and checked."""
