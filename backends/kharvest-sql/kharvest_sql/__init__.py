"""The SQL store of kharvest: SQLite files, PostgreSQL, MySQL and MariaDB, through SQLAlchemy Core.

It is opened by its URL, with `kharvest.registry`, which finds `plugin`. `index` is for other backends: references in a
SQLite file of one process. All other modules are private.
"""

__all__: list[str] = []
