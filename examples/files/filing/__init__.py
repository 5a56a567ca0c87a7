"""A file that several processes edit at once, in shared memory."""
