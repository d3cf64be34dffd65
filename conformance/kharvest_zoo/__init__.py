"""Stores to test the suite with: two correct ones, odd ones that are correct too, and many with one fault each."""
