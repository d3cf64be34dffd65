"""The door of `pytest --pyargs kharvest_conformance --kharvest-store URL`."""

from kharvest_conformance.suite import Suite


class TestStore(Suite):
    """The suite on the store that the command line names."""
