"""The MongoDB store of kharvest, through PyMongo."""
