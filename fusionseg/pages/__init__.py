"""HTML pages that load nothing from anywhere: words, sortable tables, charts and pictures."""
