"""Tests of the client, with real files and real servers."""
