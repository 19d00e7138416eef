"""How fast and how small the SDK is, beside its peers and the least that is possible.

`python -m benchmarks` measures it.
"""
