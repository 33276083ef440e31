"""Floor 8: a kit for testing code that writes to a log."""
