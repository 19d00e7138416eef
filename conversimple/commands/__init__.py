"""What the subcommands of ``conversimple`` do: one module for each, named as it is."""
