"""The benchmarks are right in what they compute, and run."""
