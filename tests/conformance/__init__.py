"""Other people's clients and tools against a real broker process."""
