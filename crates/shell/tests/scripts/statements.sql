CREATE TABLE t (a int PRIMARY KEY, b text);
INSERT INTO t VALUES (1, 'one'), (2, 'two');
INSERT INTO t VALUES (3, 'three') RETURNING a, b;
UPDATE t SET b = 'zwei' WHERE a = 2;
DELETE FROM t WHERE a = 1 RETURNING *;
SELECT * FROM t ORDER BY a;
SELECT nonsense;
SELECT a,
       nonsense
  FROM t;
INSERT INTO t VALUES (2, 'again');
-- a comment before
SELECT 1 / 0; -- and one behind
/* a block */ SELECT wrong;
SELECT 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, nonsense, 20, 21, 22, 23;
SELECT	nonsense_after_tab, 'a much longer line that has to be cut at its right end by the shell';
BEGIN;
SELECT broken;
SELECT 1;
COMMIT;
DO $$ BEGIN RAISE NOTICE 'noted: %', 5; RAISE WARNING 'warned' USING HINT = 'do not', DETAIL = 'much'; END $$;
DO $$ BEGIN PERFORM 1 / 0; END $$;
CREATE TABLE IF NOT EXISTS t (a int);
DROP TABLE nowhere;
COPY t TO STDOUT;
COPY t FROM STDIN;
10	ten
11	\N
\.
SELECT count(*) FROM t;
COPY t FROM STDIN;
not a number	x
\.
SELECT 'after the copy';
SELECT 'a;b', ";" FROM (SELECT 1 AS ";") AS s;
SELECT $x$ ; $x$ AS dollar;
;
SELECT E'it\'s;' AS escaped;
\set name 'some ''text'''
\set n 5
SELECT :n AS n, :'name' AS text, :n::text AS cast;
\echo one 'two  three' :n
\echo -n no newline
\echo
\nonsense
\warn to the errors
\p
SELECT 1 AS buffered
\p
\r
\p
\timing on
\timing off
\unset n
SELECT ':n';
PREPARE p AS SELECT $1::int + 1 AS sum;
EXECUTE p(4);
EXPLAIN (COSTS OFF) SELECT 1;
SHOW server_version_num;
SET application_name = 'x';
FETCH ALL FROM nowhere;
LISTEN channel;
DROP TABLE t;
SELECT 'no semicolon at the end'
