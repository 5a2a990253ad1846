"""`python -m medvision` is the same as `medvision`."""

from medvision.cli.main import main

if __name__ == "__main__":
    main()
