"""Engines that are wrong, each in one way, and the test of the suite of engines that says so."""
