"""A fleet: dispatcher processes that share conversations, one killed and one paused.

It is judged from outside: by what the platform saw on which socket, and by a file to
which every effect appends one line.
"""
