"""The bugs, one module each; `catalogue` puts them in order."""
