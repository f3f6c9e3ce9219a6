"""What is asked: a machine, a model, a mapping and a workload, in one form that everything evaluates."""
