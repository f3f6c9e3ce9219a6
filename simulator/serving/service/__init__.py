"""A service: replicas of a model that serve a stream of requests, iteration by iteration (`docs/serving.md`)."""
