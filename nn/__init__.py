"""A small neural-network package on scalar Values."""
