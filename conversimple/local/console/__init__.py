"""The page on which a developer sees and moves the local platform."""
