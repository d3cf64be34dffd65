"""A cluster in small: pods are network namespaces with addresses of their own, joined by a bridge."""
