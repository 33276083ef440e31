"""The bugs that are no exhibits of `eventlog.museum`, one module each; `catalogue` puts all of them in order."""
