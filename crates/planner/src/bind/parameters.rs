//! Types of `$n`, inferred as PostgreSQL does (`parse_param.c`, variable parameters).
//!
//! A parameter has the type that the client gave, or none until an expression needs one: the first conversion of the untyped
//! parameter fixes its type; a later one to another type is 42P08. One that is used only where any type will do (a
//! SELECT list) becomes text at last; one that nothing fixes is 42P18.

use super::Binder;
use expr::Expr;
use types::{DataType, PgError, PgResult, SqlState};

#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters {
    /// Unknown: not fixed yet.
    types: Vec<DataType>,
    used: Vec<bool>,
    /// Parameters beyond the given ones may appear.
    open: bool,
}

impl Parameters {
    /// A statement of the extended protocol: `given` are the client's types, `count` the highest `$n`.
    pub(crate) fn new(given: &[Option<DataType>], count: usize) -> Self {
        let mut types: Vec<DataType> = given.iter().map(|given| given.unwrap_or(DataType::Unknown)).collect();
        types.resize(types.len().max(count), DataType::Unknown);
        Parameters { used: vec![false; types.len()], types, open: true }
    }

    /// No parameters: `$1` is 42P02.
    pub(crate) fn none() -> Self {
        Parameters::default()
    }

    /// The final types. 42P18 for a parameter that was used and never got one.
    pub(crate) fn finish(self) -> PgResult<Vec<DataType>> {
        for (index, data_type) in self.types.iter().enumerate() {
            if *data_type == DataType::Unknown {
                let message = format!("could not determine data type of parameter ${}", index + 1);
                return Err(PgError::new(SqlState::INDETERMINATE_DATATYPE, message));
            }
        }
        Ok(self.types)
    }
}

impl Binder<'_> {
    pub(super) fn bind_parameter(&mut self, number: u16, position: u32) -> PgResult<Expr> {
        if let Some(frame) = self.frames.last() {
            return frame.numbered(number, position);
        }
        let index = usize::from(number) - 1;
        if !self.parameters.open && index >= self.parameters.types.len() {
            let message = format!("there is no parameter ${number}");
            return Err(PgError::new(SqlState::UNDEFINED_PARAMETER, message).at(position));
        }
        if index >= self.parameters.types.len() {
            self.parameters.types.resize(index + 1, DataType::Unknown);
            self.parameters.used.resize(index + 1, false);
        }
        self.parameters.used[index] = true;
        Ok(Expr::Parameter { index: index as u32, data_type: self.parameters.types[index] })
    }

    /// Fixes the type of an untyped parameter that is about to be converted to `target`.
    pub(super) fn fix_parameter(&mut self, input: Expr, target: DataType, position: u32) -> PgResult<Expr> {
        let Expr::Parameter { index, data_type: DataType::Unknown } = input else { return Ok(input) };
        if target.is_polymorphic() || target == DataType::Unknown {
            return Ok(input);
        }
        let fixed = &mut self.parameters.types[index as usize];
        if *fixed == DataType::Unknown {
            *fixed = target;
        } else if *fixed != target {
            let message = format!("inconsistent types deduced for parameter ${}", index + 1);
            return Err(PgError::new(SqlState::AMBIGUOUS_PARAMETER, message)
                .detail(format!("{fixed} versus {target}"))
                .at(position));
        }
        Ok(Expr::Parameter { index, data_type: target })
    }
}
