"""A session against a model platform, in a world that a seed decides."""
