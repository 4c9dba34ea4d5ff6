"""Commands: a file for each, found by its name (`fusionseg NAME`)."""
