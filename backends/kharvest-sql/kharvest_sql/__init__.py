"""The SQL store of kharvest: SQLite files, PostgreSQL, MySQL and MariaDB, through SQLAlchemy Core."""
