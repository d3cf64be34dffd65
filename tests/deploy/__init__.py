"""Tests of what is in deploy/: the manifests as they are rendered, and the image definitions."""
