"""What an architect asks of a sweep: the best trade-offs, the cheapest design, what matters, and where it turns."""
