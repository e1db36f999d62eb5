\d
\dt
\di
\dv
\ds
\dt nowhere
\d nowhere
CREATE TABLE "Parent" (id serial PRIMARY KEY, name varchar(20) NOT NULL UNIQUE, price numeric(10,2) DEFAULT 1.5 CHECK (price > 0));
CREATE TABLE child (
  id bigint GENERATED ALWAYS AS IDENTITY,
  parent int REFERENCES "Parent" ON DELETE CASCADE,
  at timestamptz DEFAULT now(),
  twice int GENERATED ALWAYS AS (parent * 2) STORED,
  word text COLLATE "C",
  PRIMARY KEY (id, at)
);
CREATE INDEX child_parent ON child (parent DESC, lower(word)) WHERE parent > 5;
CREATE UNIQUE INDEX child_word ON child (word);
CREATE VIEW v AS SELECT id, word FROM child;
CREATE SEQUENCE counter INCREMENT 5 MAXVALUE 100 CYCLE;
CREATE SCHEMA other;
CREATE TABLE other.t (a int);
\d
\dt
\dt *.t
\dt other.*
\di
\dv
\ds
\dit
\d "Parent"
\d child
\d v
\d counter
\d "Parent_id_seq"
\d child_id_seq
\d child_parent
\d child_pkey
\d "Parent_name_key"
\d other.t
\d chil*
\dn
\dn oth?r
\du
\du nobody
\l
\l template?
\dtS pg_database
DROP SCHEMA other CASCADE;
DROP SEQUENCE counter;
DROP VIEW v;
DROP TABLE child;
DROP TABLE "Parent";
