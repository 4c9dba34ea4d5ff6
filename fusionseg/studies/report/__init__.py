"""Reports of studies: one self-contained page, with its tables as CSV, Markdown and LaTeX."""
