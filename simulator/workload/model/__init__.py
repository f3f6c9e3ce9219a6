"""What a model is: its form, what reads it, what it weighs."""
