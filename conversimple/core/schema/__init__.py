"""Python signatures to JSON Schema, JSON to Python values, and back."""
