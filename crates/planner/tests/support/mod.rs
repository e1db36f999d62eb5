//! A catalog in memory, made of CREATE TABLE, CREATE INDEX and CREATE VIEW statements; and the golden files.
#![allow(dead_code)]

use planner::ast::*;
use planner::catalog::{Relation, Statistics, Table, UserType, View};
use planner::{Catalog, PlanOptions};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::descriptor::{
    self as d, ColumnId, DescriptorVersion, IndexColumn, IndexDescriptor, Oid, TableDescriptor,
};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

#[derive(Default)]
pub struct TestCatalog {
    relations: BTreeMap<String, Relation>,
    statistics: BTreeMap<Oid, Arc<Statistics>>,
    next: u32,
}

impl TestCatalog {
    pub fn new(script: &str) -> Self {
        let mut catalog = TestCatalog { next: d::FIRST_USER_OID, ..TestCatalog::default() };
        for statement in planner::parse(script).expect("a script that parses") {
            catalog.define(&statement, script);
        }
        catalog
    }

    pub fn set_rows(&mut self, table: &str, rows: f64) {
        let id = self.relations[table].id();
        self.statistics.insert(id, Arc::new(Statistics { row_count: rows, columns: BTreeMap::new() }));
    }

    fn oid(&mut self) -> Oid {
        self.next += 1;
        Oid(self.next)
    }

    /// Defines what a test catalog can; drops what is dropped.
    pub fn define_or_ignore(&mut self, statement: &Statement, script: &str) {
        match &statement.kind {
            StatementKind::Drop(drop) => {
                for name in &drop.names {
                    self.relations.remove(name.name());
                }
            }
            StatementKind::CreateTable(_) | StatementKind::CreateIndex(_) => self.define(statement, script),
            StatementKind::CreateView(create) => {
                let known = self.relations.contains_key(create.name.name());
                let binds =
                    planner::bind::bind(&create.query.node, self, &[], &PlanOptions::default()).is_ok();
                if binds && !known {
                    self.define(statement, script);
                }
            }
            _ => {}
        }
    }

    fn define(&mut self, statement: &Statement, script: &str) {
        match &statement.kind {
            StatementKind::CreateTable(create) => {
                let table = self.table(create);
                let name = table.name.clone();
                self.relations.insert(name, Relation::Table(Arc::new(Table::new(Arc::new(table), "public"))));
            }
            StatementKind::CreateIndex(create) => {
                let name = create.table.name.name();
                let Some(Relation::Table(table)) = self.relations.get(name) else {
                    panic!("no table {name}")
                };
                let mut table = (*table.descriptor).clone();
                let names: Vec<(String, bool)> = create
                    .elements
                    .iter()
                    .map(|element| (element.expression.text.to_string(), element.descending))
                    .collect();
                let mut index = self.index(
                    &table,
                    create.name.as_ref().expect("named").name.to_string(),
                    &names,
                    create.unique,
                );
                index.included = create
                    .include
                    .iter()
                    .map(|name| table.column_named(&name.name).expect("a column").id)
                    .collect();
                index.predicate = create.predicate.as_ref().map(|predicate| predicate.text.to_string());
                table.indexes.push(index);
                let name = table.name.clone();
                self.relations.insert(name, Relation::Table(Arc::new(Table::new(Arc::new(table), "public"))));
            }
            StatementKind::CreateView(create) => {
                let options = PlanOptions::default();
                let bound =
                    planner::bind::bind(&create.query.node, self, &[], &options).expect("a view that binds");
                let columns = bound.output.iter().enumerate().map(|(index, (name, column))| d::ViewColumn {
                    name: create.columns.get(index).map_or(name.to_string(), |alias| alias.name.to_string()),
                    column_type: bound.columns.get(*column).column_type,
                    acl: Default::default(),
                    comment: None,
                });
                let view = View {
                    id: Oid(self.next + 1000),
                    version: DescriptorVersion(1),
                    schema: "public".into(),
                    name: create.name.name().into(),
                    owner: "postgres".into(),
                    query: create.query.text.clone(),
                    search_path: vec!["public".into()],
                    columns: columns.collect(),
                    security_invoker: false,
                    security_barrier: false,
                };
                let _ = script;
                self.relations.insert(create.name.name().to_string(), Relation::View(Arc::new(view)));
            }
            other => panic!("not for a test catalog: {other:?}"),
        }
    }

    fn index(
        &mut self,
        table: &TableDescriptor,
        name: String,
        columns: &[(String, bool)],
        unique: bool,
    ) -> IndexDescriptor {
        let column = |(name, descending): &(String, bool)| IndexColumn {
            column: table.column_named(name).unwrap_or_else(|| panic!("no column {name}")).id,
            descending: *descending,
            nulls_first: *descending,
            operator_class: None,
            collation: None,
        };
        let id = self.oid();
        let columns = columns.iter().map(column).collect();
        IndexDescriptor { id, unique, ..IndexDescriptor::bare(name, id.0, columns) }
    }

    fn table(&mut self, create: &CreateTable) -> TableDescriptor {
        let name = create.name.name().to_string();
        let id = self.oid();
        let options = PlanOptions::default();
        let mut table: TableDescriptor = TableDescriptor {
            id,
            database: Oid(1),
            schema: Oid(2200),
            name: name.clone(),
            owner: "postgres".into(),
            ..TableDescriptor::bare(id.0, self.index_stub(&name))
        };
        let mut primary: Option<Vec<(String, bool)>> = None;
        let mut uniques: Vec<Vec<(String, bool)>> = Vec::new();
        for element in &create.elements {
            match element {
                TableElement::Column(column) => {
                    let column_type =
                        planner::resolve_type(column.type_name.as_ref().expect("a type"), self, &options)
                            .expect("a known type");
                    let mut descriptor = column_of(&column.name.name, column_type, table.columns.len());
                    for constraint in &column.constraints {
                        match &constraint.kind {
                            ColumnConstraintKind::NotNull => descriptor.not_null = true,
                            ColumnConstraintKind::PrimaryKey { .. } => {
                                descriptor.not_null = true;
                                primary = Some(vec![(column.name.name.to_string(), false)]);
                            }
                            ColumnConstraintKind::Unique { .. } => {
                                uniques.push(vec![(column.name.name.to_string(), false)])
                            }
                            ColumnConstraintKind::Default(text) => {
                                descriptor.default = Some(text.text.to_string())
                            }
                            ColumnConstraintKind::Generated(text) => {
                                descriptor.generated = Some(text.text.to_string())
                            }
                            ColumnConstraintKind::Check { expression, .. } => {
                                table.checks.push(d::CheckConstraint {
                                    id: Oid(1),
                                    name: format!("{name}_{}_check", column.name.name),
                                    expression: expression.text.to_string(),
                                    columns: Vec::new(),
                                    not_valid: false,
                                })
                            }
                            ColumnConstraintKind::Identity { always, .. } => {
                                descriptor.not_null = true;
                                descriptor.identity =
                                    Some(if *always { d::Identity::Always } else { d::Identity::ByDefault });
                                descriptor.owned_sequence = Some(Oid(99));
                            }
                            other => panic!("not for a test catalog: {other:?}"),
                        }
                    }
                    table.columns.push(descriptor);
                }
                TableElement::Constraint(constraint) => {
                    let names = |columns: &[Identifier]| {
                        columns.iter().map(|column| (column.name.to_string(), false)).collect::<Vec<_>>()
                    };
                    match &constraint.kind {
                        TableConstraintKind::PrimaryKey { columns, .. } => primary = Some(names(columns)),
                        TableConstraintKind::Unique { columns, .. } => uniques.push(names(columns)),
                        other => panic!("not for a test catalog: {other:?}"),
                    }
                }
                TableElement::Like(_) => panic!("not for a test catalog"),
            }
        }
        match primary {
            Some(columns) => {
                table.primary = self.index(&table, format!("{name}_pkey"), &columns, true);
                table.primary.constraint = Some(table.primary.id);
                for (column, _) in &columns {
                    let found = table.columns.iter_mut().find(|known| known.name == *column);
                    found.expect("a key column").not_null = true;
                }
            }
            None => {
                let mut rowid = column_of("rowid", DataType::Int8.into(), table.columns.len());
                rowid.hidden = true;
                rowid.not_null = true;
                table.columns.push(rowid);
                table.primary =
                    self.index(&table, format!("{name}_rowid"), &[("rowid".to_string(), false)], true);
            }
        }
        for columns in uniques {
            let joined: Vec<&str> = columns.iter().map(|(column, _)| column.as_str()).collect();
            let mut index = self.index(&table, format!("{name}_{}_key", joined.join("_")), &columns, true);
            index.constraint = Some(index.id);
            table.indexes.push(index);
        }
        table
    }

    fn index_stub(&mut self, name: &str) -> IndexDescriptor {
        IndexDescriptor { id: self.oid(), unique: true, ..IndexDescriptor::bare(name, 1, Vec::new()) }
    }
}

fn column_of(name: &str, column_type: ColumnType, position: usize) -> d::ColumnDescriptor {
    d::ColumnDescriptor::bare(ColumnId(position as u16 + 1), name, column_type)
}

impl Catalog for TestCatalog {
    fn schema_exists(&self, schema: &str) -> bool {
        schema == "public"
    }

    fn relation(&self, schema: &str, name: &str) -> PgResult<Option<Relation>> {
        Ok(if schema == "public" { self.relations.get(name).cloned() } else { None })
    }

    fn relation_by_id(&self, id: Oid) -> PgResult<Option<Relation>> {
        Ok(self.relations.values().find(|relation| relation.id() == id).cloned())
    }

    fn user_type(&self, _: &str, _: &str) -> PgResult<Option<Arc<UserType>>> {
        Ok(None)
    }

    fn user_type_by_oid(&self, _: u32) -> PgResult<Option<Arc<UserType>>> {
        Ok(None)
    }

    fn statistics(&self, table: Oid) -> Option<Arc<Statistics>> {
        self.statistics.get(&table).cloned()
    }
}

/// The only statement of a text.
pub fn statement(text: &str) -> PgResult<Statement> {
    let mut statements = planner::parse(text)?;
    match statements.len() {
        1 => Ok(statements.remove(0)),
        _ => Err(PgError::new(SqlState::SYNTAX_ERROR, "one statement expected")),
    }
}

/// An error with its code, place and hints.
pub fn error_text(error: &PgError, text: &str) -> String {
    let fields = error.fields();
    let mut lines = vec![format!("{}: {}", fields.code, fields.message)];
    if let Some(position) = fields.position {
        let near: String = text[position as usize..].chars().take(12).collect();
        lines.push(format!("  at {position}: {}", near.lines().next().unwrap_or("")));
    }
    lines.extend(fields.detail.iter().map(|detail| format!("  detail: {detail}")));
    lines.extend(fields.hint.iter().map(|hint| format!("  hint: {hint}")));
    lines.join("\n") + "\n"
}

/// Runs a golden file: blocks of input, a line `----`, and the output, separated by empty lines; lines with `#` are comments. With
/// the environment variable UPDATE_GOLDEN the outputs are written anew.
pub fn golden(path: &str, run: &mut dyn FnMut(&str) -> String) {
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(path);
    let text = std::fs::read_to_string(&file).expect("a golden file");
    let mut result = String::new();
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (block, after) = match rest.find("\n\n") {
            Some(end) => (&rest[..end], &rest[end + 2..]),
            None => (rest.trim_end(), ""),
        };
        rest = after;
        let input = block.split("\n----").next().unwrap_or("");
        if input.lines().all(|line| line.starts_with('#') || line.trim().is_empty()) {
            result += &format!("{block}\n\n");
            continue;
        }
        let statement: String =
            input.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n");
        let output = run(&statement);
        result += &format!("{input}\n----\n{}\n\n", output.trim_end());
    }
    let result = result.trim_end().to_string() + "\n";
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, result).expect("writable");
    } else {
        assert_eq!(text, result, "{path} differs; UPDATE_GOLDEN=1 writes it anew");
    }
}
