"""Mutants of a correct store: its code with one small change each, which the suite must notice."""
