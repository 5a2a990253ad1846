"""Speed beside other tools. A benchmark is a module with a docstring and `main()`, which prints a table."""
