"""Supervision as pure decisions: `decide.decide(tree, event, now) -> (tree, actions)`."""
