"""What a trained student is looked at for: likeness to its teacher, layers, losses, attribution."""
