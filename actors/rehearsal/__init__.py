"""What the Stage of `actors.testing` is made of."""
