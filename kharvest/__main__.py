"""`python -m kharvest`."""

from kharvest.cli.main import main

if __name__ == "__main__":
    main()
