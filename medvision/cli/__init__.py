"""The `medvision` command: parses, calls one library function, shows the result."""
