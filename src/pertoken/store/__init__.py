"""SQL behind the ports: SQLAlchemy Core on SQLite (and PostgreSQL); the only rooms that know tables."""
