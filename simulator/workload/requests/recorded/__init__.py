"""What does a file of requests say? Its rows in whatever form, checked, as chunks of requests."""
