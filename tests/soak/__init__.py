"""The soak: a tree of actors under continuous trouble, judged by what is outside of it."""
