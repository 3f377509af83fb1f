-- SQLite has one engine: there is nothing to convert.
SELECT 1;
