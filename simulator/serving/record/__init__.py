"""What is kept of a run: rows of requests, percentiles, sums by window of time, a timeline."""
