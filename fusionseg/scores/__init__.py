"""The official scores of any method's files, without a model, a run or MATLAB."""
