"""Python client library for the Conversimple conversational-AI platform."""

__version__ = "0.1.0"
