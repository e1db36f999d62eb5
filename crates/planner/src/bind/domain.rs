//! Conversions to the types that users made.
//!
//! A domain is its base type with conditions. A conversion to it is one to the base, and around it an
//! [`Expr::CoerceToDomain`] with every condition of the domain and of the domains that it is over. Arrays of domains and row types
//! with columns of domains get such nodes for their elements and columns: their text input knows nothing of conditions.

use super::level::{Clause, Level};
use super::parameters::Parameters;
use super::scope::{Item, ItemColumn};
use super::table_expressions::CHECK;
use super::{Binder, NameUse};
use crate::Catalog;
use expr::{CastContext, DomainConstraints, DomainPart, Expr};
use std::collections::BTreeMap;
use std::sync::Arc;
use types::{ColumnType, DataType, DomainRef, DomainType, PgError, PgResult, RowType, UserTypeKind};

/// Row types within row types at most, where conditions of domains are looked for.
const ROW_DEPTH_MAX: u32 = 16;

impl Binder<'_> {
    /// The columns of a row type.
    pub(super) fn row_type(&self, oid: u32) -> PgResult<Arc<RowType>> {
        let found = self.catalog.user_type_by_oid(oid)?;
        let row = found.as_ref().and_then(|found| found.row_type().cloned());
        row.ok_or_else(|| PgError::internal(format!("row type {oid} is not in the catalog")))
    }

    /// Converts to a type that a user made; `None` when the context does not allow it.
    pub(super) fn coerce_to_user_type(
        &mut self,
        input: Expr,
        to: ColumnType,
        context: CastContext,
        position: u32,
    ) -> PgResult<Option<Expr>> {
        if let (Expr::Row { data_type: DataType::Record, .. }, DataType::Composite(oid)) =
            (&input, to.data_type.base())
        {
            let Some(row) = self.coerce_row(input, oid, context, position)? else { return Ok(None) };
            return match to.data_type {
                DataType::Domain(domain) => {
                    self.constrain(row, domain, DomainPart::Value, to.data_type).map(Some)
                }
                _ => Ok(Some(row)),
            };
        }
        if let DataType::Domain(domain) = to.data_type {
            let base = ColumnType::new(to.data_type.base(), self.domain_modifier(domain)?);
            let converted = self.coerce_plainly(input, base, context, position)?;
            let Some(converted) = converted else { return Ok(None) };
            return self.constrain(converted, domain, DomainPart::Value, to.data_type).map(Some);
        }
        let Some(converted) = self.coerce_plainly(input, to, context, position)? else { return Ok(None) };
        self.constrain_parts(converted, to.data_type).map(Some)
    }

    /// ROW(...) as a named row type: column by column.
    fn coerce_row(
        &mut self,
        input: Expr,
        oid: u32,
        context: CastContext,
        position: u32,
    ) -> PgResult<Option<Expr>> {
        let Expr::Row { fields, .. } = input else { return Ok(None) };
        let row = self.row_type(oid)?;
        if fields.len() != row.columns.len() {
            let detail = if fields.len() < row.columns.len() {
                "Input has too few columns."
            } else {
                "Input has too many columns."
            };
            let to = self.type_label(DataType::Composite(oid));
            return Err(PgError::new(
                types::SqlState::CANNOT_COERCE,
                format!("cannot cast type record to {to}"),
            )
            .detail(detail)
            .at(position));
        }
        let mut converted = Vec::with_capacity(fields.len());
        for (field, (_, column)) in fields.into_iter().zip(&row.columns) {
            match self.coerce(field, *column, context, position)? {
                Some(field) => converted.push(field),
                None => return Ok(None),
            }
        }
        let names = row.columns.iter().map(|(name, _)| name.clone()).collect();
        Ok(Some(Expr::Row { fields: converted, names, data_type: DataType::Composite(oid) }))
    }

    /// What text of an array or a row type has not been checked for.
    pub(super) fn constrain_parts(&mut self, input: Expr, data_type: DataType) -> PgResult<Expr> {
        if matches!(&input, Expr::Constant { value, .. } if value.is_null()) {
            return Ok(input);
        }
        match data_type {
            DataType::Array(_) => match data_type.element() {
                Some(DataType::Domain(domain)) => {
                    self.constrain(input, domain, DomainPart::Elements, data_type)
                }
                _ => Ok(input),
            },
            DataType::Composite(oid) => self.constrain_row(input, oid, data_type, ROW_DEPTH_MAX),
            _ => Ok(input),
        }
    }

    /// A value that has come from outside as one of its type, checked for what the type asks.
    pub(super) fn constrained(&mut self, input: Expr) -> PgResult<Expr> {
        let data_type = input.data_type();
        match data_type {
            DataType::Domain(domain) => self.constrain(input, domain, DomainPart::Value, data_type),
            _ => self.constrain_parts(input, data_type),
        }
    }

    fn constrain_row(
        &mut self,
        mut input: Expr,
        oid: u32,
        data_type: DataType,
        depth: u32,
    ) -> PgResult<Expr> {
        if depth == 0 {
            return Ok(input);
        }
        for (index, (_, column)) in self.row_type(oid)?.columns.iter().enumerate() {
            if let DataType::Domain(domain) = column.data_type {
                input = self.constrain(input, domain, DomainPart::Field(index as u32), data_type)?;
            }
        }
        Ok(input)
    }

    fn domain(&self, oid: u32) -> PgResult<(Box<str>, Arc<DomainType>)> {
        domain_in(self.catalog, oid)
    }

    /// The modifier of a domain's values: that of the nearest domain below that has one.
    fn domain_modifier(&self, domain: DomainRef) -> PgResult<i32> {
        let mut oid = domain.oid;
        loop {
            let (_, definition) = self.domain(oid)?;
            match definition.parent.data_type {
                DataType::Domain(parent) if definition.parent.typmod == ColumnType::NO_MODIFIER => {
                    oid = parent.oid;
                }
                _ => return Ok(definition.parent.typmod),
            }
        }
    }

    /// Puts the conditions of a domain around a value of what it is over.
    fn constrain(
        &mut self,
        input: Expr,
        domain: DomainRef,
        part: DomainPart,
        data_type: DataType,
    ) -> PgResult<Expr> {
        let (name, _) = self.domain(domain.oid)?;
        let over = DataType::Domain(domain).base();
        let (mut not_null, mut checks) = (false, Vec::new());
        let mut lineage = vec![domain.oid];
        while let (_, definition) = self.domain(lineage[lineage.len() - 1])?
            && let DataType::Domain(parent) = definition.parent.data_type
        {
            lineage.push(parent.oid);
        }
        for oid in lineage.into_iter().rev() {
            let (_, definition) = self.domain(oid)?;
            not_null |= definition.not_null;
            for (name, text) in &definition.checks {
                checks.push((name.clone(), bind_domain_check(text, over, self.catalog, self.options)?));
            }
        }
        let label = crate::parser::keywords::quote_identifier(&name).into();
        let domain = Arc::new(DomainConstraints { domain: label, over, not_null, checks, part });
        Ok(Expr::CoerceToDomain { input: Box::new(input), domain, data_type })
    }
}

fn domain_in(catalog: &dyn Catalog, oid: u32) -> PgResult<(Box<str>, Arc<DomainType>)> {
    let found = catalog.user_type_by_oid(oid)?;
    match found.as_ref().map(|found| &found.kind) {
        Some(UserTypeKind::Domain(definition)) => {
            Ok((found.as_ref().expect("found above").name.clone(), definition.clone()))
        }
        _ => Err(PgError::internal(format!("domain {oid} is not in the catalog"))),
    }
}

/// The default of a domain, or of the nearest domain that it is over and that has one.
pub(super) fn default_of_domain(data_type: DataType, catalog: &dyn Catalog) -> PgResult<Option<Box<str>>> {
    let mut at = data_type;
    while let DataType::Domain(domain) = at {
        let (_, definition) = domain_in(catalog, domain.oid)?;
        if definition.default.is_some() {
            return Ok(definition.default.clone());
        }
        at = definition.parent.data_type;
    }
    Ok(None)
}

/// Binds a domain's condition: VALUE is the only column.
pub(crate) fn bind_domain_check(
    text: &str,
    over: DataType,
    catalog: &dyn Catalog,
    options: &crate::PlanOptions,
) -> PgResult<Expr> {
    let expression = crate::parser::parse_expression(text)?;
    over_value(over, catalog, options).bind_condition(&expression, "CHECK")
}

/// What the names of a domain's condition mean.
pub(crate) fn names_in_domain_check(
    text: &str,
    over: DataType,
    catalog: &dyn Catalog,
    options: &crate::PlanOptions,
) -> PgResult<BTreeMap<u32, NameUse>> {
    let expression = crate::parser::parse_expression(text)?;
    let mut binder = over_value(over, catalog, options);
    binder.names = Some(BTreeMap::new());
    binder.bind_condition(&expression, "CHECK")?;
    Ok(binder.names.unwrap_or_default())
}

/// A binder that sees VALUE.
fn over_value<'a>(over: DataType, catalog: &'a dyn Catalog, options: &'a crate::PlanOptions) -> Binder<'a> {
    let mut binder = Binder::new(catalog, options, Parameters::none());
    let mut level = Level::new(Clause::Scalar(CHECK));
    let value = ItemColumn {
        name: "value".into(),
        expr: Expr::column(0, over),
        column_type: over.into(),
        hidden: false,
        source: None,
    };
    level.namespace.push(Item::new(None, vec![value]));
    binder.levels.push(level);
    binder
}
