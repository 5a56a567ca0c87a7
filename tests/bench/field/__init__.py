"""The field: the same two measurements of other libraries, each in its own process, each the way its own docs do it."""
