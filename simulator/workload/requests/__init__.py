"""What is asked of a service? Requests: when they arrive, how long they are, and what they share."""
