//! The types of a picture of the catalog, as reading and writing their values needs them.
//!
//! What a type is made of is derived from its descriptor when somebody first asks, and kept with the picture.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use types::descriptor::{Oid, TypeDefinition};
use types::user_type::TypeDirectory;
use types::{DomainType, EnumLabel, RowType, UserType, UserTypeKind};

use super::object::Object;
use super::snapshot::CatalogSnapshot;

/// What has been derived. A changed picture, being a copy, starts with nothing.
#[derive(Default, Debug)]
pub(super) struct UserTypes(Mutex<BTreeMap<u32, Arc<UserType>>>);

impl Clone for UserTypes {
    fn clone(&self) -> Self {
        UserTypes::default()
    }
}

impl TypeDirectory for CatalogSnapshot {
    fn user_type(&self, oid: u32) -> Option<Arc<UserType>> {
        if let Some(known) = self.user_types.0.lock().get(&oid) {
            return Some(known.clone());
        }
        let derived = Arc::new(derive(self.object(Oid(oid))?)?);
        self.user_types.0.lock().insert(oid, derived.clone());
        Some(derived)
    }
}

fn derive(object: &Object) -> Option<UserType> {
    let kind = match object {
        Object::Type(descriptor) => match &descriptor.definition {
            TypeDefinition::Enum { labels } => UserTypeKind::Enum(
                labels
                    .iter()
                    .map(|label| EnumLabel {
                        oid: label.id.0,
                        place: label.place,
                        label: label.label.as_str().into(),
                    })
                    .collect(),
            ),
            TypeDefinition::Composite { attributes } => row(attributes
                .iter()
                .map(|attribute| (attribute.name.as_str().into(), attribute.column_type))
                .collect()),
            TypeDefinition::Domain(domain) => UserTypeKind::Domain(Arc::new(DomainType {
                parent: domain.parent,
                not_null: domain.not_null,
                default: domain.default.as_deref().map(Into::into),
                checks: domain
                    .checks
                    .iter()
                    .map(|check| (check.name.as_str().into(), check.expression.as_str().into()))
                    .collect(),
            })),
        },
        Object::Table(table) => row(table
            .columns
            .iter()
            .filter(|column| !column.hidden && column.state == types::descriptor::ElementState::Public)
            .map(|column| (column.name.as_str().into(), column.column_type))
            .collect()),
        Object::View(view) => {
            row(view.columns.iter().map(|column| (column.name.as_str().into(), column.column_type)).collect())
        }
        _ => return None,
    };
    Some(UserType { oid: object.id().0, name: object.name().into(), kind })
}

fn row(columns: Vec<(Box<str>, types::ColumnType)>) -> UserTypeKind {
    UserTypeKind::Composite(Arc::new(RowType { columns }))
}
