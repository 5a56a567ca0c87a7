"""States on disk: the file they are in, and when it is written."""
