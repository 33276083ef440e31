"""The version, in one place for the code; a test compares it with the distribution's."""

__version__ = "0.1.0"
