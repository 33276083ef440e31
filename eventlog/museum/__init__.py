"""Floor 9: historical bugs as exhibits."""
