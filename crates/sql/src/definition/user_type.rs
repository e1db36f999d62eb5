//! CREATE TYPE, ALTER TYPE: enums and row types.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{
    AlterType, AlterTypeAction, CreateType, Identifier, ObjectKind, ObjectName, Rename, SetSchema,
    TypeDefinition as Definition,
};
use types::descriptor::{
    DescriptorVersion, EnumLabelDescriptor, Oid, TypeDefinition, TypeDescriptor, ViewColumn,
};
use types::user_type::{PLACE_STEP, TypeDirectory};
use types::{ColumnType, DataType, PgError, PgResult, SqlState};

use super::create_table::quote;
use crate::catalog::{CatalogSnapshot, Object, Space, store};
use crate::session::Session;
use crate::session::statement::Tag;

/// Longest label, in bytes (NAMEDATALEN - 1).
const LABEL_BYTES_MAX: usize = 63;

impl Session {
    pub(super) async fn create_type(&mut self, create: &CreateType) -> ExecResult<Tag> {
        let definition = match &create.definition {
            Definition::Enum(labels) => {
                let mut made: Vec<EnumLabelDescriptor> = Vec::with_capacity(labels.len());
                for (label, position) in labels {
                    check_label(label).map_err(|error| error.at(*position))?;
                    if made.iter().any(|other| other.label == **label) {
                        return Err(PgError::new(
                            SqlState::UNIQUE_VIOLATION,
                            "duplicate key value violates unique constraint \"pg_enum_typid_label_index\"",
                        )
                        .into());
                    }
                    let id = self.new_oid().await?;
                    let place = (made.len() as i64 + 1) * PLACE_STEP;
                    made.push(EnumLabelDescriptor { id, place, label: label.to_string() });
                }
                TypeDefinition::Enum { labels: made }
            }
            Definition::Composite(columns) => {
                let mut attributes: Vec<ViewColumn> = Vec::with_capacity(columns.len());
                for column in columns {
                    let type_name = column
                        .type_name
                        .as_ref()
                        .ok_or_else(|| PgError::new(SqlState::SYNTAX_ERROR, "an attribute needs a type"))?;
                    let column_type = self.column_type(type_name)?;
                    add_attribute(&mut attributes, &column.name, column_type)?;
                }
                TypeDefinition::Composite { attributes }
            }
            Definition::Range => return Err(PgError::unsupported("CREATE TYPE AS RANGE").into()),
            Definition::Base => return Err(PgError::unsupported("CREATE TYPE of a base type").into()),
        };
        let schema = self.new_type_schema(&create.name)?;
        self.put_new_type(schema, create.name.name(), definition).await?;
        Ok(Tag::Plain("CREATE TYPE"))
    }

    /// Where a new type goes; 42710 when there is a type, or a relation, of its name.
    pub(super) fn new_type_schema(&mut self, name: &ObjectName) -> PgResult<Oid> {
        let schema = self.creation_schema(name)?;
        let snapshot = self.snapshot();
        if snapshot.type_named(schema, name.name()).is_some() {
            return Err(store::already_exists(Space::Types(schema), name.name()));
        }
        Ok(schema)
    }

    pub(super) async fn put_new_type(
        &mut self,
        schema: Oid,
        name: &str,
        definition: TypeDefinition,
    ) -> ExecResult<()> {
        let descriptor = TypeDescriptor {
            id: self.new_oid().await?,
            database: self.database,
            schema,
            name: name.to_string(),
            version: DescriptorVersion(1),
            owner: self.user.clone(),
            definition,
            comment: None,
            acl: self.new_acl(types::acl::AclKind::Type, Some(schema)),
        };
        self.put_object(Object::Type(Arc::new(descriptor))).await
    }

    /// What a type's name means; `None` when there is no such type. A built-in type is not found.
    pub(super) fn find_type(&mut self, name: &ObjectName) -> PgResult<Option<Oid>> {
        let snapshot = self.snapshot();
        if let Some(schema) = name.schema() {
            if schema == "pg_catalog" {
                return Ok(None);
            }
            let schema = self.schema_named(&snapshot, schema)?;
            return Ok(snapshot.type_named(schema, name.name()));
        }
        let search_path = self.info().search_path.clone();
        let schemas = search_path.iter().filter_map(|schema| snapshot.schema(self.database, schema));
        Ok(schemas.filter_map(|schema| snapshot.type_named(schema.id, name.name())).next())
    }

    pub(super) fn type_id(&mut self, name: &ObjectName) -> PgResult<Oid> {
        self.find_type(name)?.ok_or_else(|| missing_type(name))
    }

    /// The descriptor of a type that may be changed. 42704, 42809 for a relation's row type, 42501.
    pub(super) fn changeable_type(&mut self, name: &ObjectName) -> PgResult<TypeDescriptor> {
        let id = self.type_id(name)?;
        let snapshot = self.snapshot();
        let Some(found) = snapshot.user_type_descriptor(id) else {
            return Err(PgError::new(
                SqlState::WRONG_OBJECT_TYPE,
                format!("{} is a table's row type", quote(name.name())),
            )
            .hint("Use ALTER TABLE instead."));
        };
        self.require_owner("type", &found.name, &found.owner)?;
        Ok(TypeDescriptor::clone(found))
    }

    pub(super) async fn put_type(&mut self, mut descriptor: TypeDescriptor) -> ExecResult<()> {
        descriptor.version = DescriptorVersion(descriptor.version.0 + 1);
        self.put_object(Object::Type(Arc::new(descriptor))).await
    }

    pub(super) async fn alter_type(&mut self, alter: &AlterType) -> ExecResult<Tag> {
        let mut descriptor = self.changeable_type(&alter.name)?;
        let name = descriptor.name.clone();
        match (&alter.action, &mut descriptor.definition) {
            (
                AlterTypeAction::AddValue { label, if_not_exists, neighbour },
                TypeDefinition::Enum { labels },
            ) => {
                check_label(label)?;
                if labels.iter().any(|other| other.label == **label) {
                    let message = format!("enum label \"{label}\" already exists");
                    if !*if_not_exists {
                        return Err(PgError::new(SqlState::DUPLICATE_OBJECT, message).into());
                    }
                    self.notice(PgError::notice(format!("{message}, skipping")));
                    return Ok(Tag::Plain("ALTER TYPE"));
                }
                let index = insertion_index(labels, neighbour.as_ref())?;
                let place = place_at(labels, index).ok_or_else(|| {
                    PgError::new(
                        SqlState::PROGRAM_LIMIT_EXCEEDED,
                        format!("there is no room left between two labels of enum {name}"),
                    )
                })?;
                let id = self.new_oid().await?;
                labels.insert(index, EnumLabelDescriptor { id, place, label: label.to_string() });
            }
            (AlterTypeAction::RenameValue { from, to }, TypeDefinition::Enum { labels }) => {
                check_label(to)?;
                if !labels.iter().any(|label| label.label == **from) {
                    return Err(PgError::new(
                        SqlState::INVALID_PARAMETER_VALUE,
                        format!("\"{from}\" is not an existing enum label"),
                    )
                    .into());
                }
                if labels.iter().any(|label| label.label == **to) {
                    return Err(PgError::new(
                        SqlState::DUPLICATE_OBJECT,
                        format!("enum label \"{to}\" already exists"),
                    )
                    .into());
                }
                labels.iter_mut().filter(|label| label.label == **from).for_each(|label| {
                    label.label = to.to_string();
                });
            }
            (AlterTypeAction::AddValue { .. } | AlterTypeAction::RenameValue { .. }, _) => {
                let message = format!("{} is not an enum", quote(&name));
                return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
            (AlterTypeAction::SetProperties, _) => {
                return Err(PgError::unsupported("ALTER TYPE SET").into());
            }
            (action, TypeDefinition::Composite { attributes }) => {
                if !matches!(action, AlterTypeAction::AddAttribute(_)) {
                    self.check_row_type_unused(descriptor.id, &name)?;
                }
                self.alter_attributes(attributes, &name, action)?;
            }
            _ => {
                let message = format!("{} is not a composite type", quote(&name));
                return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message).into());
            }
        }
        self.put_type(descriptor).await?;
        Ok(Tag::Plain("ALTER TYPE"))
    }

    fn alter_attributes(
        &mut self,
        attributes: &mut Vec<ViewColumn>,
        type_name: &str,
        action: &AlterTypeAction,
    ) -> PgResult<()> {
        let missing = |name: &str| {
            PgError::new(
                SqlState::UNDEFINED_COLUMN,
                format!("column \"{name}\" of relation \"{type_name}\" does not exist"),
            )
        };
        match action {
            AlterTypeAction::AddAttribute(column) => {
                let named = column.type_name.as_ref();
                let named =
                    named.ok_or_else(|| PgError::new(SqlState::SYNTAX_ERROR, "an attribute needs a type"))?;
                let column_type = self.column_type(named)?;
                if attributes.iter().any(|attribute| attribute.name == *column.name.name) {
                    return Err(PgError::new(
                        SqlState::DUPLICATE_COLUMN,
                        format!("column \"{}\" of relation \"{type_name}\" already exists", column.name.name),
                    ));
                }
                add_attribute(attributes, &column.name, column_type)
            }
            AlterTypeAction::DropAttribute { name, if_exists, .. } => {
                let before = attributes.len();
                attributes.retain(|attribute| attribute.name != *name.name);
                if attributes.len() < before {
                    return Ok(());
                }
                if !*if_exists {
                    return Err(missing(&name.name));
                }
                self.notice(PgError::notice(format!("{}, skipping", missing(&name.name).message())));
                Ok(())
            }
            AlterTypeAction::AlterAttribute { name, type_name } => {
                let column_type = self.column_type(type_name)?;
                let found = attributes.iter_mut().find(|attribute| attribute.name == *name.name);
                found.ok_or_else(|| missing(&name.name))?.column_type = column_type;
                Ok(())
            }
            _ => Err(PgError::internal("not a change of attributes")),
        }
    }

    /// Stored values of a row type would have to be rewritten.
    fn check_row_type_unused(&mut self, id: Oid, name: &str) -> PgResult<()> {
        let snapshot = self.snapshot();
        for table in snapshot.tables(self.database) {
            if let Some(column) =
                table.columns.iter().find(|column| mentions(&snapshot, column.column_type.data_type, id))
            {
                return Err(PgError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!(
                        "cannot alter type \"{name}\" because column \"{}.{}\" uses it",
                        table.name, column.name
                    ),
                ));
            }
        }
        Ok(())
    }

    /// ALTER TYPE and ALTER DOMAIN ... RENAME: the type, an attribute, a domain's constraint.
    pub(super) async fn rename_type(&mut self, rename: &Rename) -> ExecResult<Tag> {
        let tag = if rename.owner_kind == ObjectKind::Domain { "ALTER DOMAIN" } else { "ALTER TYPE" };
        let mut descriptor = self.changeable_type(&rename.name)?;
        let to = rename.new_name.name.to_string();
        match (rename.kind, &rename.part) {
            (ObjectKind::Type | ObjectKind::Domain, _) => {
                if self.snapshot().type_named(descriptor.schema, &to).is_some() {
                    return Err(store::already_exists(Space::Types(descriptor.schema), &to).into());
                }
                descriptor.name = to;
            }
            (_, Some(part)) => {
                let owner = descriptor.name.clone();
                rename_part(&mut descriptor.definition, &owner, part, to)?;
            }
            _ => return Err(PgError::internal("a part to be renamed has no name").into()),
        }
        self.put_type(descriptor).await?;
        Ok(Tag::Plain(tag))
    }

    pub(super) async fn move_type(&mut self, set: &SetSchema) -> ExecResult<Tag> {
        let mut descriptor = self.changeable_type(&set.name)?;
        let snapshot = self.snapshot();
        let schema = self.schema_named(&snapshot, &set.schema.name)?;
        if schema != descriptor.schema && snapshot.type_named(schema, &descriptor.name).is_some() {
            return Err(store::already_exists(Space::Types(schema), &descriptor.name).into());
        }
        descriptor.schema = schema;
        self.put_type(descriptor).await?;
        Ok(Tag::Plain(if set.kind == ObjectKind::Domain { "ALTER DOMAIN" } else { "ALTER TYPE" }))
    }
}

pub(super) fn missing_type(name: &ObjectName) -> PgError {
    PgError::new(SqlState::UNDEFINED_OBJECT, format!("type \"{name}\" does not exist")).at(name.position())
}

fn rename_part(definition: &mut TypeDefinition, owner: &str, part: &Identifier, to: String) -> PgResult<()> {
    match definition {
        TypeDefinition::Composite { attributes } => {
            if attributes.iter().any(|attribute| attribute.name == to) {
                return Err(PgError::new(
                    SqlState::DUPLICATE_COLUMN,
                    format!("column \"{to}\" of relation \"{owner}\" already exists"),
                ));
            }
            let found = attributes.iter_mut().find(|attribute| attribute.name == *part.name);
            let found = found.ok_or_else(|| {
                let message = format!("column \"{}\" does not exist", part.name);
                PgError::new(SqlState::UNDEFINED_COLUMN, message)
            })?;
            found.name = to;
        }
        TypeDefinition::Domain(domain) => {
            if domain.checks.iter().any(|check| check.name == to) {
                return Err(PgError::new(
                    SqlState::DUPLICATE_OBJECT,
                    format!("constraint \"{to}\" for domain {owner} already exists"),
                ));
            }
            let found = domain.checks.iter_mut().find(|check| check.name == *part.name);
            let found = found.ok_or_else(|| {
                let message = format!("constraint \"{}\" for domain {owner} does not exist", part.name);
                PgError::new(SqlState::UNDEFINED_OBJECT, message)
            })?;
            found.name = to;
        }
        TypeDefinition::Enum { .. } => {
            let message = format!("{} is not a composite type", quote(owner));
            return Err(PgError::new(SqlState::WRONG_OBJECT_TYPE, message));
        }
    }
    Ok(())
}

fn check_label(label: &str) -> PgResult<()> {
    if label.len() > LABEL_BYTES_MAX {
        return Err(PgError::new(SqlState::INVALID_NAME, format!("invalid enum label \"{label}\""))
            .detail(format!("Labels must be {LABEL_BYTES_MAX} bytes or less.")));
    }
    Ok(())
}

/// Where a new label goes: (before, neighbour), or the end.
fn insertion_index(labels: &[EnumLabelDescriptor], neighbour: Option<&(bool, Box<str>)>) -> PgResult<usize> {
    let Some((before, neighbour)) = neighbour else { return Ok(labels.len()) };
    let at = labels.iter().position(|label| label.label == **neighbour).ok_or_else(|| {
        PgError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("\"{neighbour}\" is not an existing enum label"),
        )
    })?;
    Ok(if *before { at } else { at + 1 })
}

/// A place between the labels on both sides of `index`; `None` when they are next to one another.
fn place_at(labels: &[EnumLabelDescriptor], index: usize) -> Option<i64> {
    let before = index.checked_sub(1).map(|index| labels[index].place);
    let after = labels.get(index).map(|label| label.place);
    match (before, after) {
        (None, None) => Some(PLACE_STEP),
        (Some(before), None) => before.checked_add(PLACE_STEP),
        (None, Some(after)) => after.checked_sub(PLACE_STEP),
        (Some(before), Some(after)) => (after - before > 1).then(|| before + (after - before) / 2),
    }
}

fn add_attribute(
    attributes: &mut Vec<ViewColumn>,
    name: &Identifier,
    column_type: ColumnType,
) -> PgResult<()> {
    if attributes.iter().any(|other| other.name == *name.name) {
        return Err(PgError::new(
            SqlState::DUPLICATE_COLUMN,
            format!("column \"{}\" specified more than once", name.name),
        ));
    }
    attributes.push(ViewColumn {
        name: name.name.to_string(),
        column_type,
        acl: Default::default(),
        comment: None,
    });
    Ok(())
}

/// Whether values of a type hold values of the user's type `id`: it itself, an array of it, a row type or domain over it.
pub(super) fn mentions(snapshot: &CatalogSnapshot, data_type: DataType, id: Oid) -> bool {
    match data_type {
        DataType::Array(element) => {
            element.data_type().is_some_and(|element| mentions(snapshot, element, id))
        }
        DataType::Enum(oid) => oid == id.0,
        DataType::Domain(domain) => {
            domain.oid == id.0
                || match snapshot.user_type_descriptor(Oid(domain.oid)).map(|found| &found.definition) {
                    Some(TypeDefinition::Domain(definition)) => {
                        mentions(snapshot, definition.parent.data_type, id)
                    }
                    _ => false,
                }
        }
        DataType::Composite(oid) if oid == id.0 => true,
        DataType::Composite(oid) => snapshot.user_type(oid).is_some_and(|found| {
            let row = found.row_type();
            row.is_some_and(|row| {
                row.columns.iter().any(|(_, column)| mentions(snapshot, column.data_type, id))
            })
        }),
        _ => false,
    }
}

/// A type as SQL text that means it whatever the search path is.
pub(crate) fn type_text(snapshot: &CatalogSnapshot, column_type: ColumnType) -> String {
    let data_type = column_type.data_type;
    if !data_type.is_user_type() {
        return column_type.to_string();
    }
    if let DataType::Array(_) = data_type {
        let element = data_type.element().unwrap_or(DataType::Text);
        return format!("{}[]", type_text(snapshot, element.into()));
    }
    let Some(object) = snapshot.object(Oid(data_type.oid())) else { return data_type.sql_name() };
    let schema = match object.space() {
        Space::Types(schema) | Space::Relations(schema) => snapshot.schema_name(schema),
        _ => "pg_catalog",
    };
    format!("{}.{}", quote(schema), quote(object.name()))
}

/// A type as messages and format_type call it: with its schema where the search path does not lead to it.
pub(crate) fn type_label(
    snapshot: &CatalogSnapshot,
    database: Oid,
    search_path: &[String],
    data_type: DataType,
) -> String {
    if !data_type.is_user_type() {
        return data_type.sql_name();
    }
    if let DataType::Array(_) = data_type {
        let element = data_type.element().unwrap_or(DataType::Text);
        return format!("{}[]", type_label(snapshot, database, search_path, element));
    }
    let id = Oid(data_type.oid());
    let Some(found) = snapshot.user_type(id.0) else { return "???".into() };
    let visible = search_path
        .iter()
        .filter_map(|schema| snapshot.schema(database, schema))
        .find_map(|schema| snapshot.type_named(schema.id, &found.name));
    if visible == Some(id) { quote(&found.name) } else { type_text(snapshot, data_type.into()) }
}
