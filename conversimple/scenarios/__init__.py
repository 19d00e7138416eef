"""Scripted conversations: read from YAML, held with an agent, reported."""
