"""Claims as tests open them, in this process and in others."""

from __future__ import annotations

from collections.abc import Callable

from conversimple.runtime.claims import Claims

#: Opens the claims of one more worker of a customer.
Opening = Callable[..., Claims]

#: A worker in a process of its own; its arguments are a place and a lease.
WORKER = """
import os, sys
from conversimple.runtime.claims import open_claims
claims = open_claims(sys.argv[1], "c1", float(sys.argv[2]))
"""

#: It takes a name, says so, and lives until its input ends.
HOLDER = WORKER + """
print(claims.take("conv_1", "shop"))
sys.stdin.read()
"""
