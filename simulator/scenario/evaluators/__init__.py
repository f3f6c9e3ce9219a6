"""What evaluates a scenario: a file a kind of workload, with its form, its metrics and its evaluator."""
