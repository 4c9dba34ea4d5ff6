"""What a model costs: size, operations, time and memory of its answers, and where the time goes."""
