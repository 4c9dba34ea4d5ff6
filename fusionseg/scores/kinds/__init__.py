"""What can be scored, one file for each kind: its arguments `Options`, what it does, and `score`."""
