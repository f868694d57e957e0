-- Only SQLite lacks a clock that processes share; PostgreSQL has one.

SELECT 1;
