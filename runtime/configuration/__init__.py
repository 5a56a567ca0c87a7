"""What a configuration file may say, where it says it, and what becomes of it."""
