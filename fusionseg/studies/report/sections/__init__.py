"""The sections of a report, one file each: from the numbers of an analysis to words, tables and charts."""
