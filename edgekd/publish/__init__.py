"""What goes into a bundle for others to trust: its signature and its bill of materials."""
