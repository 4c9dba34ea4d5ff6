"""What a data set holds, before anything is trained on it: figures of its labels, and what training sees."""
