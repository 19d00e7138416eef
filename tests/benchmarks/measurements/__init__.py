"""Each measurement, on the smallest scale."""
