//! What `\?` and `\h` print.

pub const COMMANDS: &str = "\
General
  \\copyright             show the licence
  \\g                     execute the query so far (as ; does)
  \\gx                    as \\g, with expanded output
  \\q                     quit

Help
  \\?                     this list
  \\h                     where to read about SQL

Query buffer
  \\p                     show the query so far
  \\r                     clear it

Input and output
  \\echo [-n] [TEXT]      write to the output
  \\warn [-n] [TEXT]      write to the error stream
  \\i FILE                execute a file
  \\! COMMAND             run a command of the operating system

Looking around (PATTERN: a name, schema.name; * and ? match)
  \\d  [PATTERN]          tables, views and sequences, or what one of them consists of
  \\dt [PATTERN]          tables
  \\di [PATTERN]          indexes
  \\ds [PATTERN]          sequences
  \\dv [PATTERN]          views
  \\dn [PATTERN]          schemas
  \\du [PATTERN]          roles
  \\l  [PATTERN]          databases

Formatting
  \\a                     toggle aligned output
  \\pset null TEXT        what stands for NULL
  \\t [on|off]            rows only
  \\timing [on|off]       show how long each statement takes
  \\x [on|off|auto]       expanded output

Connection
  \\c [DATABASE [USER]]   connect anew
  \\conninfo              who and where we are

Variables
  \\set [NAME [VALUE]]    set a variable, or list them; :NAME puts it in
  \\unset NAME            forget it
";

pub const SQL: &str = "\
The SQL understood here is PostgreSQL's; its documentation applies: https://www.postgresql.org/docs/15/sql.html
What is not supported answers with SQLSTATE 0A000 and names the feature.
";

pub const WELCOME: &str = "Type \\? for help, \\q to quit.\n";

pub const LICENCE: &str = "Meridian is licensed under the Apache License, Version 2.0.\n";
