"""kharvest: collect the files that pods write, and move each distinct content over the network once."""

__version__ = "0.1.0"
__all__ = ["__version__"]
