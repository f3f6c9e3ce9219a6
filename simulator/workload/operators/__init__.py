"""What one forward pass computes, operator by operator."""
