"""A shop's back end, as actors."""
