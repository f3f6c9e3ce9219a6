"""What one step of training computes."""
