"""What a dispatcher is made of: its catalogue of agents, its thread, and its claims."""
