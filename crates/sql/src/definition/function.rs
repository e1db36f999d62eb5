//! CREATE FUNCTION and PROCEDURE, DROP FUNCTION.
//!
//! Language SQL alone: its bodies are expanded into the statements that call them (`planner::bind`). A function is known by its name and
//! the types of its input parameters together.

use std::sync::Arc;

use executor::ExecResult;
use planner::Definition;
use planner::ast::{
    CreateFunction, DropStatement, FunctionReturns, ObjectKind, ObjectName, ParameterMode, TypeName,
};
use types::acl::AclKind;
use types::descriptor::{
    DescriptorVersion, FunctionDescriptor, FunctionParameter, FunctionParameterMode, FunctionVolatility, Oid,
};
use types::{ColumnType, DataType, PgError, PgResult, Severity, SqlState};

use crate::catalog::{CatalogSnapshot, NameTarget, Object};
use crate::session::Session;
use crate::session::statement::Tag;

/// Parameters of a function at most (FUNC_MAX_ARGS).
const PARAMETERS_MAX: usize = 100;

fn invalid(message: impl Into<String>) -> PgError {
    PgError::new(SqlState::INVALID_FUNCTION_DEFINITION, message)
}

/// Name and input types: what tells functions of one schema apart.
pub fn identity(name: &str, inputs: impl Iterator<Item = DataType>) -> String {
    let types: Vec<String> = inputs.map(|data_type| data_type.oid().to_string()).collect();
    format!("{name}({})", types.join(","))
}

/// How messages write a function: `f(integer,text)`.
pub fn signature(name: &str, inputs: impl Iterator<Item = DataType>) -> String {
    let types: Vec<String> = inputs.map(|data_type| data_type.to_string()).collect();
    format!("{name}({})", types.join(","))
}

/// A function's own signature.
pub fn signature_of(function: &FunctionDescriptor) -> String {
    signature(&function.name, function.inputs().map(|parameter| parameter.column_type.data_type))
}

/// The functions of a name in a schema.
pub fn functions_named(snapshot: &CatalogSnapshot, schema: Oid, name: &str) -> Vec<Arc<FunctionDescriptor>> {
    let space = crate::catalog::Space::Functions(schema);
    let from = format!("{name}(");
    let found = snapshot.names_from(space, &from);
    let mut functions = Vec::new();
    for (identity, target) in found {
        if !identity.starts_with(name) || identity.as_bytes().get(name.len()) != Some(&b'(') {
            break;
        }
        if let NameTarget::Object(id) = target
            && let Some(Object::Function(function)) = snapshot.object(id)
        {
            functions.push(function.clone());
        }
    }
    functions
}

/// The clauses after the parameters.
pub(super) struct Attributes {
    pub volatility: FunctionVolatility,
    pub strict: bool,
    pub security_definer: bool,
    pub leakproof: bool,
}

impl Default for Attributes {
    fn default() -> Self {
        Attributes {
            volatility: FunctionVolatility::Volatile,
            strict: false,
            security_definer: false,
            leakproof: false,
        }
    }
}

/// What clauses make of what holds without them.
pub(super) fn attributes(clauses: &[Box<str>], before: Attributes) -> PgResult<Attributes> {
    let mut attributes = before;
    for attribute in clauses {
        let words: Vec<&str> = attribute.split_whitespace().collect();
        match words.as_slice() {
            ["immutable"] => attributes.volatility = FunctionVolatility::Immutable,
            ["stable"] => attributes.volatility = FunctionVolatility::Stable,
            ["volatile"] => attributes.volatility = FunctionVolatility::Volatile,
            ["strict"] | ["returns" | "null", ..] => attributes.strict = true,
            ["called", ..] => attributes.strict = false,
            ["leakproof"] => attributes.leakproof = true,
            ["not", "leakproof"] => attributes.leakproof = false,
            [.., "security", "definer"] => attributes.security_definer = true,
            [.., "security", "invoker"] => attributes.security_definer = false,
            // Estimates and the marking for parallel plans: they say how to run a function, not what it gives, and what is
            // expanded in place is not run by itself.
            ["cost" | "rows" | "parallel", ..] => {}
            ["window"] => return Err(PgError::unsupported("window functions in language SQL")),
            ["set" | "reset", ..] => return Err(PgError::unsupported("settings of a function")),
            ["support", ..] => return Err(PgError::unsupported("support functions")),
            _ => return Err(PgError::unsupported(format!("the clause {attribute} of a function"))),
        }
    }
    Ok(attributes)
}

impl Session {
    pub(super) async fn create_function(&mut self, create: &CreateFunction) -> ExecResult<Tag> {
        let tag = Tag::Plain(if create.procedure { "CREATE PROCEDURE" } else { "CREATE FUNCTION" });
        let language = create.language.as_deref().unwrap_or("sql").to_ascii_lowercase();
        if language != "sql" {
            let known = matches!(language.as_str(), "plpgsql" | "c" | "internal");
            return Err(match known {
                true => PgError::unsupported(format!("functions in language {language}")),
                false => PgError::new(
                    SqlState::UNDEFINED_OBJECT,
                    format!("language \"{language}\" does not exist"),
                ),
            }
            .into());
        }
        if create.language.is_none() && !create.sql_body {
            return Err(invalid("no language specified").into());
        }
        if create.procedure {
            return Err(PgError::unsupported("procedures").into());
        }
        let body = match create.body.as_slice() {
            [body] => body.to_string(),
            [] => return Err(invalid("no function body specified").into()),
            _ => return Err(invalid("only one AS item needed for language \"sql\"").into()),
        };
        let attributes = attributes(&create.attributes, Attributes::default())?;
        let parameters = self.function_parameters(create)?;
        let (result, returns_set, result_relation) = self.function_result(create, &parameters)?;
        let schema = self.creation_schema(&create.name)?;
        let name = create.name.name();
        let inputs = |parameters: &[FunctionParameter]| -> Vec<DataType> {
            use FunctionParameterMode::{In, InOut, Variadic};
            let is_input = |p: &&FunctionParameter| matches!(p.mode, In | InOut | Variadic);
            parameters.iter().filter(is_input).map(|p| p.column_type.data_type).collect()
        };
        let identity = identity(name, inputs(&parameters).into_iter());
        let snapshot = self.snapshot();
        let old = functions_named(&snapshot, schema, name)
            .into_iter()
            .find(|function| function.identity == identity);
        if let Some(old) = &old {
            if !create.or_replace {
                return Err(PgError::new(
                    SqlState::DUPLICATE_FUNCTION,
                    format!("function \"{name}\" already exists with same argument types"),
                )
                .into());
            }
            self.require_owner("function", name, &old.owner)?;
            check_replacement(old, result, returns_set, &parameters)?;
        }
        let acl = match &old {
            Some(old) => old.acl.clone(),
            None => self.new_acl(AclKind::Function, Some(schema)),
        };
        let function = FunctionDescriptor {
            id: match &old {
                Some(old) => old.id,
                None => self.new_oid().await?,
            },
            database: self.database,
            schema,
            name: name.to_string(),
            identity,
            version: DescriptorVersion(old.as_ref().map_or(1, |old| old.version.0 + 1)),
            owner: old.as_ref().map_or_else(|| self.user.clone(), |old| old.owner.clone()),
            procedure: create.procedure,
            parameters,
            result,
            returns_set,
            result_relation,
            language,
            body,
            volatility: attributes.volatility,
            strict: attributes.strict,
            security_definer: attributes.security_definer,
            leakproof: attributes.leakproof,
            comment: old.as_ref().and_then(|old| old.comment.clone()),
            acl,
        };
        let function = Arc::new(function);
        // Stored first: a body may call the function itself.
        self.put_object(Object::Function(function.clone())).await?;
        if self.settings.bool("check_function_bodies") {
            let catalog = self.statement_catalog();
            planner::check_function_body(&function, &catalog, self.plan_options())?;
        }
        Ok(tag)
    }

    fn function_parameters(&mut self, create: &CreateFunction) -> PgResult<Vec<FunctionParameter>> {
        let mut parameters: Vec<FunctionParameter> = Vec::with_capacity(create.parameters.len());
        if create.parameters.len() > PARAMETERS_MAX {
            let message = format!("functions cannot have more than {PARAMETERS_MAX} arguments");
            return Err(PgError::new(SqlState::TOO_MANY_ARGUMENTS, message));
        }
        let mut defaults_begun = false;
        for parameter in &create.parameters {
            let column_type = self.parameter_type(&parameter.type_name)?;
            let mode = match parameter.mode {
                ParameterMode::In => FunctionParameterMode::In,
                ParameterMode::Out => FunctionParameterMode::Out,
                ParameterMode::InOut => FunctionParameterMode::InOut,
                ParameterMode::Variadic => FunctionParameterMode::Variadic,
            };
            let is_input = mode != FunctionParameterMode::Out;
            if is_input && parameters.iter().any(|p| p.mode == FunctionParameterMode::Variadic) {
                return Err(invalid("VARIADIC parameter must be the last input parameter"));
            }
            if mode == FunctionParameterMode::Variadic && column_type.data_type.element().is_none() {
                return Err(invalid("VARIADIC parameter must be an array"));
            }
            if parameter.default.is_some() && !is_input {
                return Err(invalid("only input parameters can have default values"));
            }
            if is_input && defaults_begun && parameter.default.is_none() {
                return Err(invalid(
                    "input parameters after one with a default value must also have defaults",
                ));
            }
            defaults_begun |= parameter.default.is_some();
            if let Some(default) = &parameter.default {
                let catalog = self.statement_catalog();
                planner::bind_constant(&default.node, column_type.data_type, &catalog, self.plan_options())?;
            }
            let name = parameter.name.as_ref().map(|name| name.name.to_string());
            check_parameter_name(&parameters, mode, name.as_deref())?;
            let default = parameter.default.as_ref();
            let default = default
                .map(|default| self.frozen(&default.text, &Definition::Default(column_type)))
                .transpose()?;
            parameters.push(FunctionParameter { mode, name, column_type, default });
        }
        if let Some(FunctionReturns::Table(columns)) = &create.returns {
            for (name, type_name) in columns {
                let column_type = self.parameter_type(type_name)?;
                let mode = FunctionParameterMode::Table;
                check_parameter_name(&parameters, mode, Some(&name.name))?;
                let name = Some(name.name.to_string());
                parameters.push(FunctionParameter { mode, name, column_type, default: None });
            }
        }
        Ok(parameters)
    }

    /// A parameter's type: pseudo-types that are polymorphic are welcome.
    fn parameter_type(&mut self, type_name: &TypeName) -> PgResult<ColumnType> {
        let mut plain = type_name.clone();
        plain.set_of = false;
        let catalog = self.statement_catalog();
        let resolved = planner::resolve_type(&plain, &catalog, self.plan_options())?;
        // Modifiers of a parameter's type mean nothing, as in PostgreSQL.
        Ok(resolved.data_type.into())
    }

    /// (type, SETOF, the relation whose rows are returned).
    fn function_result(
        &mut self,
        create: &CreateFunction,
        parameters: &[FunctionParameter],
    ) -> PgResult<(ColumnType, bool, Option<Oid>)> {
        use FunctionParameterMode::{InOut, Out, Table};
        let outputs: Vec<ColumnType> = parameters
            .iter()
            .filter(|parameter| matches!(parameter.mode, Out | InOut | Table))
            .map(|parameter| parameter.column_type)
            .collect();
        let implied: ColumnType = match outputs.as_slice() {
            [] => DataType::Void.into(),
            [only] => *only,
            _ => DataType::Record.into(),
        };
        match &create.returns {
            Some(FunctionReturns::Table(_)) => Ok((implied, true, None)),
            None if outputs.is_empty() && !create.procedure => {
                Err(invalid("function result type must be specified"))
            }
            None => Ok((implied, false, None)),
            Some(FunctionReturns::Type(type_name)) => {
                let setof = type_name.set_of;
                let resolved = self.parameter_type(type_name);
                let relation = match &resolved {
                    Ok(column_type) if matches!(column_type.data_type, DataType::Composite(_)) => {
                        self.table_named(&type_name.name).ok()
                    }
                    Ok(_) => None,
                    Err(_) => self.table_named(&type_name.name).ok(),
                };
                let result = match relation {
                    Some(_) => DataType::Record.into(),
                    None => resolved?,
                };
                if !outputs.is_empty() && result.data_type != implied.data_type {
                    return Err(invalid(format!(
                        "function result type must be {} because of OUT parameters",
                        implied.data_type
                    )));
                }
                Ok((result, setof, relation))
            }
        }
    }

    /// The function that a name, with or without argument types, means. Errors: 42883, 42725.
    pub(super) fn function_target(
        &mut self,
        kind: ObjectKind,
        name: &ObjectName,
        arguments: Option<&[TypeName]>,
    ) -> PgResult<Arc<FunctionDescriptor>> {
        let snapshot = self.snapshot();
        let schemas = match name.schema() {
            Some(schema) => vec![self.schema_named(&snapshot, schema)?],
            None => self
                .lookup_schemas()
                .iter()
                .filter_map(|schema| snapshot.schema(self.database, schema))
                .map(|schema| schema.id)
                .collect(),
        };
        let candidates: Vec<Arc<FunctionDescriptor>> =
            schemas.into_iter().flat_map(|schema| functions_named(&snapshot, schema, name.name())).collect();
        let noun = if kind == ObjectKind::Routine { "function" } else { kind.noun() };
        let Some(arguments) = arguments else {
            return match candidates.as_slice() {
                [only] => Ok(only.clone()),
                [] => {
                    let message = format!("could not find a {noun} named \"{name}\"");
                    Err(PgError::new(SqlState::UNDEFINED_FUNCTION, message))
                }
                _ => {
                    let message = format!("{noun} name \"{name}\" is not unique");
                    Err(PgError::new(SqlState::AMBIGUOUS_FUNCTION, message)
                        .hint(format!("Specify the argument list to select the {noun} unambiguously.")))
                }
            };
        };
        let mut types = Vec::with_capacity(arguments.len());
        for argument in arguments {
            types.push(self.parameter_type(argument)?.data_type);
        }
        let wanted = identity(name.name(), types.iter().copied());
        candidates.into_iter().find(|function| function.identity == wanted).ok_or_else(|| {
            let signature = signature(&name.to_string(), types.into_iter());
            PgError::new(SqlState::UNDEFINED_FUNCTION, format!("{noun} {signature} does not exist"))
        })
    }

    pub(super) async fn drop_functions(&mut self, drop: &DropStatement) -> ExecResult<Tag> {
        for (index, name) in drop.names.iter().enumerate() {
            let arguments = drop.arguments.get(index).and_then(|arguments| arguments.as_deref());
            let function = match self.function_target(drop.kind, name, arguments) {
                Ok(function) => function,
                Err(error)
                    if drop.if_exists
                        && matches!(
                            error.code(),
                            SqlState::UNDEFINED_FUNCTION
                                | SqlState::INVALID_SCHEMA_NAME
                                | SqlState::UNDEFINED_OBJECT
                        ) =>
                {
                    let text = format!("{}, skipping", error.message());
                    self.notice(PgError::with_severity(
                        Severity::Notice,
                        SqlState::SUCCESSFUL_COMPLETION,
                        text,
                    ));
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            self.require_owner("function", &function.name, &function.owner)?;
            self.drop_function(&function, drop.cascade, &[]).await?;
        }
        Ok(Tag::Plain(match drop.kind {
            ObjectKind::Procedure => "DROP PROCEDURE",
            ObjectKind::Routine => "DROP ROUTINE",
            _ => "DROP FUNCTION",
        }))
    }

    pub(super) async fn drop_function(
        &mut self,
        function: &FunctionDescriptor,
        cascade: bool,
        together: &[Oid],
    ) -> ExecResult<()> {
        let what = format!("function {}", signature_of(function));
        self.drop_dependent_views(function.id, &what, cascade, together).await?;
        self.remove_object(function.id).await
    }
}

fn check_parameter_name(
    known: &[FunctionParameter],
    mode: FunctionParameterMode,
    name: Option<&str>,
) -> PgResult<()> {
    use FunctionParameterMode::{In, Out, Table, Variadic};
    let Some(name) = name else { return Ok(()) };
    // An input and an output parameter may share a name.
    let apart = |other: FunctionParameterMode| {
        matches!((mode, other), (In | Variadic, Out | Table) | (Out | Table, In | Variadic))
    };
    let used = known.iter().any(|p| p.name.as_deref() == Some(name) && !apart(p.mode));
    if used {
        return Err(invalid(format!("parameter name \"{name}\" used more than once")));
    }
    Ok(())
}

/// OR REPLACE must keep the result and the names of input parameters.
fn check_replacement(
    old: &FunctionDescriptor,
    result: ColumnType,
    returns_set: bool,
    parameters: &[FunctionParameter],
) -> PgResult<()> {
    let hint = || format!("Use DROP FUNCTION {} first.", signature_of(old));
    let old_outputs: Vec<_> = old.outputs().map(|p| (&p.name, p.column_type)).collect();
    let new_outputs: Vec<_> = parameters
        .iter()
        .filter(|p| !matches!(p.mode, FunctionParameterMode::In | FunctionParameterMode::Variadic))
        .map(|p| (&p.name, p.column_type))
        .collect();
    if old.result != result || old.returns_set != returns_set || old_outputs != new_outputs {
        return Err(invalid("cannot change return type of existing function").hint(hint()));
    }
    let inputs = parameters
        .iter()
        .filter(|p| !matches!(p.mode, FunctionParameterMode::Out | FunctionParameterMode::Table));
    for (old_parameter, new) in old.inputs().zip(inputs) {
        if let Some(name) = &old_parameter.name
            && new.name.as_ref() != Some(name)
        {
            return Err(invalid(format!("cannot change name of input parameter \"{name}\"")).hint(hint()));
        }
        if old_parameter.default.is_some() && new.default.is_none() {
            return Err(invalid("cannot remove parameter defaults from existing function").hint(hint()));
        }
    }
    Ok(())
}
