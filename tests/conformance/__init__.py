"""A supervisor tree driven by a script, line by line, so that its answers can be compared with another supervisor's."""
