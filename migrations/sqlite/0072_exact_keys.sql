-- SQLite compares texts byte by byte already.
SELECT 1;
