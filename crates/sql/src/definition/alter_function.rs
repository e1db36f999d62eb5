//! ALTER FUNCTION: another owner, name, schema, other attributes.

use std::sync::Arc;

use executor::ExecResult;
use planner::ast::{AlterFunction, AlterFunctionAction, ObjectKind};
use types::descriptor::{DescriptorVersion, FunctionDescriptor, Oid};
use types::{PgError, SqlState};

use super::drop::views_on;
use super::function::{Attributes, attributes, functions_named, identity, signature_of};
use crate::catalog::Object;
use crate::session::Session;
use crate::session::statement::Tag;

impl Session {
    pub(super) async fn alter_function(&mut self, alter: &AlterFunction) -> ExecResult<Tag> {
        let tag = Tag::Plain(match alter.kind {
            ObjectKind::Procedure => "ALTER PROCEDURE",
            ObjectKind::Routine => "ALTER ROUTINE",
            _ => "ALTER FUNCTION",
        });
        let function = self.function_target(alter.kind, &alter.name, alter.arguments.as_deref())?;
        if let AlterFunctionAction::OwnerTo(owner) = &alter.action {
            self.change_owner(function.id, owner).await?;
            return Ok(tag);
        }
        self.require_owner("function", &function.name, &function.owner)?;
        let mut changed = FunctionDescriptor::clone(&function);
        changed.version = DescriptorVersion(function.version.0 + 1);
        match &alter.action {
            AlterFunctionAction::Rename(name) => {
                changed.name = name.name.to_string();
                let inputs = function.inputs().map(|parameter| parameter.column_type.data_type);
                changed.identity = identity(&changed.name, inputs);
                self.check_place(&changed)?;
            }
            AlterFunctionAction::SetSchema(schema) => {
                let snapshot = self.snapshot();
                changed.schema = self.schema_named(&snapshot, &schema.name)?;
                if changed.schema != function.schema {
                    self.check_place(&changed)?;
                }
            }
            AlterFunctionAction::Attributes(texts) => {
                let before = Attributes {
                    volatility: function.volatility,
                    strict: function.strict,
                    security_definer: function.security_definer,
                    leakproof: function.leakproof,
                };
                let after = attributes(texts, before)?;
                changed.volatility = after.volatility;
                changed.strict = after.strict;
                changed.security_definer = after.security_definer;
                changed.leakproof = after.leakproof;
            }
            AlterFunctionAction::OwnerTo(_) => {}
        }
        self.put_object(Object::Function(Arc::new(changed))).await?;
        Ok(tag)
    }

    /// 42723 if the schema has such a function; 0A000 if views name the function: they keep its name as it was.
    fn check_place(&mut self, function: &FunctionDescriptor) -> ExecResult<()> {
        let snapshot = self.snapshot();
        let taken = |id: Oid| functions_named(&snapshot, id, &function.name);
        if taken(function.schema).iter().any(|other| other.identity == function.identity) {
            let message = format!(
                "function {} already exists in schema \"{}\"",
                signature_of(function),
                snapshot.schema_name(function.schema)
            );
            return Err(PgError::new(SqlState::DUPLICATE_FUNCTION, message).into());
        }
        if !views_on(&snapshot, function.id).is_empty() {
            return Err(PgError::unsupported("another name of a function that views use").into());
        }
        Ok(())
    }
}
