"""What is written: frames, payloads, control messages."""
