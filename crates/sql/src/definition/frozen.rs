//! The texts of expressions and queries as definitions keep them: see `planner::frozen`.

use std::sync::Arc;

use expr::Expr;
use planner::{Definition, SchemaObject, Understanding};
use types::PgResult;

use crate::catalog::Object;
use crate::session::Session;

impl Session {
    /// A text of a definition as it is kept, which means in every session what it means now in this one. Errors: those of binding
    /// it and of reading its literals.
    pub(super) fn frozen(&mut self, text: &str, definition: &Definition<'_>) -> PgResult<String> {
        let catalog = self.statement_catalog();
        let context = self.exec_context(&catalog, &Arc::from([]), false);
        let read = |conversion: &Expr| expr::eval_scalar(conversion, &context.eval(&[]));
        let snapshot = &catalog.snapshot;
        let schema_of = |object: SchemaObject| {
            let (SchemaObject::Relation(id) | SchemaObject::Function(id) | SchemaObject::Type(id)) = object;
            let schema = snapshot.object(id).and_then(Object::schema)?;
            Some(snapshot.schema_name(schema).to_string())
        };
        let options = self.plan_options();
        planner::frozen(
            text,
            definition,
            &Understanding { catalog: &catalog, options, read: &read, schema_of: &schema_of },
        )
    }
}
