"""A pipeline of processes that pass images to one another."""
