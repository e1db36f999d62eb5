SELECT 1;
SELECT 1 AS a, 'text' AS b, NULL AS c, 2.50 AS "number";
SELECT 1 WHERE false;
SELECT;
SELECT FROM generate_series(1, 3);
SELECT 'a
b' AS "two
lines", 5 AS n, 'x' AS last;
SELECT 1 AS n, 'long
er
lines' AS last;
SELECT E'tab\there' AS t, E'cr\rhere' AS r, E'\x01' AS c;
SELECT '日本語' AS japanese, 'é' AS "accenté", 'plain' AS p;
SELECT n, repeat('x', n) AS x, n * 1000000 AS big FROM generate_series(1, 5) AS n;
SELECT true AS t, false AS f, '{1,2}'::int[] AS arr, 'now'::text AS txt, 1::oid AS o, 1.5::float8 AS d;
SELECT 1 AS one; SELECT 2 AS two;
SELECT 1 AS a
\g
SELECT 1 AS a, 'b' AS b \gx
\x
SELECT 1 AS a, 'text' AS b, NULL AS c;
SELECT n AS number, repeat('y', n * 10) AS wide FROM generate_series(1, 3) AS n;
SELECT 'a
b' AS "two
lines", 5 AS n;
SELECT 1 AS n, 'long
er
lines' AS last, 'x' AS a_much_longer_name_of_a_column;
SELECT 1 WHERE false;
SELECT;
\x off
\t
SELECT 1 AS a, 2 AS b;
SELECT 1 WHERE false;
\x on
SELECT 1 AS a, 2 AS b UNION ALL SELECT 3, 4;
SELECT 1 WHERE false;
\x off
\t off
\a
SELECT 1 AS a, NULL AS b, 'x' AS c UNION ALL SELECT 3, 4, 'y';
\x
SELECT 1 AS a, NULL AS b UNION ALL SELECT 3, 4;
SELECT 1 AS a WHERE false;
\t
SELECT 1 AS a, NULL AS b UNION ALL SELECT 3, 4;
\t
\x
\a
\pset null '(null)'
SELECT NULL AS a, 1 AS b;
