"""Which neurons of a feed-forward layer tokens need."""
