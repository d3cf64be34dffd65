"""A kharvest store on LMDB."""
