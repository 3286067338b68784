"""Give the budget, get the student: a search that writes recipes and runs plans. The compiler knows nothing of it."""
