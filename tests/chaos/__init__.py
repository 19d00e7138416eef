"""Agents on real sockets while a proxy cuts, stalls and trickles, judged from outside.

`python -m tests.chaos` runs one and prints its figures.
"""
