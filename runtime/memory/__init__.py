"""Shared memory: large bodies, regions, locks."""
