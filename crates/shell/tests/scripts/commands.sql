\t
\t off
\t on
\t
\t xx
\a
\a
\x on
\x bogus
\x
\x auto
\x off
\timing xx
\timing
\timing
\pset null x
\pset pager off
\pset format unaligned
\pset format aligned
\pset tuples_only on
\pset t off
\unset
\i
\i nowhere
\conninfo
\echo :undefined ':x' \\ \echo two
\c template1
\c - postgres
SELECT 1 \g
\c nowhere
SELECT 'not reached';
