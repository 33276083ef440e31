"""The exhibits, one module each. Put another one here, and it is shown (see `docs/museum.md`)."""
