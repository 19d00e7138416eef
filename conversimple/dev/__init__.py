"""``conversimple dev``: the local platform, and agents that follow their code.

The parent has the platform, the terminal and the files' watcher (`reload`); the agents
run in a child process (`worker`). A changed file gives a new child, and the old one
serves until the new one has the code.
"""
