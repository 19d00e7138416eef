"""Agents inside of web applications: `flask`, `django`, and what they share."""
