"""What is kept: the only room that knows SQL. One behaviour on SQLite and PostgreSQL."""
