//! Access control lists: who may do what with an object, and who said so.
//!
//! A list holds one item for each pair of grantee and grantor, as PostgreSQL's `aclitem[]` does, because a privilege can be held from
//! several grantors at once and is gone only when the last of them has revoked it. An object without a list has the defaults of
//! its kind ([`AclKind::default_rights`]): what its owner may do, and what everybody may.
//!
//! ```text
//!   owner ──grants SELECT WITH GRANT OPTION──▶ a ──grants SELECT──▶ b
//!                                              │
//!             REVOKE ... FROM a: the chain that hangs on a's grant option goes along (CASCADE) or stands in the way
//! ```
//!
//! Source: PostgreSQL 15's documentation, chapter 5.7 and table 5.1 (abbreviations).

use serde::{Deserialize, Serialize};

use crate::descriptor::Oid;
use crate::{PgError, PgResult, SqlState};

/// A set of privileges, one bit each, in the order in which aclitem's text writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights(pub u16);

impl Rights {
    pub const NONE: Rights = Rights(0);
    pub const INSERT: Rights = Rights(1);
    pub const SELECT: Rights = Rights(1 << 1);
    pub const UPDATE: Rights = Rights(1 << 2);
    pub const DELETE: Rights = Rights(1 << 3);
    pub const TRUNCATE: Rights = Rights(1 << 4);
    pub const REFERENCES: Rights = Rights(1 << 5);
    pub const TRIGGER: Rights = Rights(1 << 6);
    pub const EXECUTE: Rights = Rights(1 << 7);
    pub const USAGE: Rights = Rights(1 << 8);
    pub const CREATE: Rights = Rights(1 << 9);
    pub const TEMPORARY: Rights = Rights(1 << 10);
    pub const CONNECT: Rights = Rights(1 << 11);
    pub const SET: Rights = Rights(1 << 12);
    pub const ALTER_SYSTEM: Rights = Rights(1 << 13);

    pub const fn with(self, other: Rights) -> Rights {
        Rights(self.0 | other.0)
    }

    pub const fn without(self, other: Rights) -> Rights {
        Rights(self.0 & !other.0)
    }

    pub const fn common(self, other: Rights) -> Rights {
        Rights(self.0 & other.0)
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub const fn contains(self, other: Rights) -> bool {
        self.0 & other.0 == other.0
    }

    /// The privilege of a key word. PostgreSQL takes any case.
    pub fn named(name: &str) -> Option<Rights> {
        NAMES.iter().find(|(_, word, _)| word.eq_ignore_ascii_case(name)).map(|(right, _, _)| *right)
    }

    /// Each privilege of the set by itself, in order.
    pub fn each(self) -> impl Iterator<Item = Rights> {
        NAMES.iter().map(|(right, _, _)| *right).filter(move |right| self.contains(*right)).take(16)
    }

    /// The key word of a single privilege.
    pub fn word(self) -> &'static str {
        NAMES.iter().find(|(right, _, _)| *right == self).map_or("", |(_, word, _)| word)
    }
}

/// (privilege, key word, letter in aclitem). TEMP is a second spelling.
const NAMES: &[(Rights, &str, char)] = &[
    (Rights::INSERT, "INSERT", 'a'),
    (Rights::SELECT, "SELECT", 'r'),
    (Rights::UPDATE, "UPDATE", 'w'),
    (Rights::DELETE, "DELETE", 'd'),
    (Rights::TRUNCATE, "TRUNCATE", 'D'),
    (Rights::REFERENCES, "REFERENCES", 'x'),
    (Rights::TRIGGER, "TRIGGER", 't'),
    (Rights::EXECUTE, "EXECUTE", 'X'),
    (Rights::USAGE, "USAGE", 'U'),
    (Rights::CREATE, "CREATE", 'C'),
    (Rights::TEMPORARY, "TEMPORARY", 'T'),
    (Rights::CONNECT, "CONNECT", 'c'),
    (Rights::SET, "SET", 's'),
    (Rights::ALTER_SYSTEM, "ALTER SYSTEM", 'A'),
];

/// What kind of object a list belongs to: which privileges there are, and which are had without a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AclKind {
    Table,
    Column,
    Sequence,
    Database,
    Function,
    Schema,
    Type,
}

impl AclKind {
    /// All privileges of the kind.
    pub const fn all(self) -> Rights {
        match self {
            AclKind::Table => Rights(0b111_1111),
            AclKind::Column => {
                Rights::INSERT.with(Rights::SELECT).with(Rights::UPDATE).with(Rights::REFERENCES)
            }
            AclKind::Sequence => Rights::USAGE.with(Rights::SELECT).with(Rights::UPDATE),
            AclKind::Database => Rights::CREATE.with(Rights::TEMPORARY).with(Rights::CONNECT),
            AclKind::Function => Rights::EXECUTE,
            AclKind::Schema => Rights::USAGE.with(Rights::CREATE),
            AclKind::Type => Rights::USAGE,
        }
    }

    /// Without a list: (what everybody may, what the owner may).
    pub const fn default_rights(self) -> (Rights, Rights) {
        let public = match self {
            AclKind::Database => Rights::TEMPORARY.with(Rights::CONNECT),
            AclKind::Function => Rights::EXECUTE,
            AclKind::Type => Rights::USAGE,
            AclKind::Table | AclKind::Column | AclKind::Sequence | AclKind::Schema => Rights::NONE,
        };
        let owner = match self {
            AclKind::Column => Rights::NONE,
            other => other.all(),
        };
        (public, owner)
    }
}

/// Everybody, as a grantee.
pub const PUBLIC: Oid = Oid(0);

/// What one grantor has granted to one grantee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclItem {
    pub grantee: Oid,
    pub grantor: Oid,
    pub rights: Rights,
    /// Of `rights`, those that the grantee may grant in turn.
    pub grantable: Rights,
}

impl AclItem {
    /// The privileges as aclitem's text has them: letters, each followed by `*` if it may be granted on.
    pub fn letters(&self) -> String {
        let mut text = String::new();
        for (right, _, letter) in NAMES {
            if self.rights.contains(*right) {
                text.push(*letter);
            }
            if self.grantable.contains(*right) {
                text.push('*');
            }
        }
        text
    }
}

/// An object's list; `None`: it has never been given one and the defaults of its kind hold.
///
/// - no item is without rights; `grantable` is part of `rights`.
/// - PUBLIC has nothing grantable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Acl(pub Option<Vec<AclItem>>);

/// What GRANT or REVOKE changes for one grantee.
#[derive(Clone, Copy, Debug)]
pub struct AclChange {
    pub grantee: Oid,
    pub grantor: Oid,
    pub rights: Rights,
    /// GRANT ... WITH GRANT OPTION, REVOKE GRANT OPTION FOR.
    pub option: bool,
}

impl Acl {
    pub fn is_default(&self) -> bool {
        self.0.is_none()
    }

    /// The items, those of the defaults included.
    pub fn items(&self, kind: AclKind, owner: Oid) -> Vec<AclItem> {
        if let Some(items) = &self.0 {
            return items.clone();
        }
        let (public, own) = kind.default_rights();
        let mut items = Vec::new();
        if !public.is_empty() {
            items.push(AclItem { grantee: PUBLIC, grantor: owner, rights: public, grantable: Rights::NONE });
        }
        if !own.is_empty() {
            items.push(AclItem { grantee: owner, grantor: owner, rights: own, grantable: Rights::NONE });
        }
        items
    }

    /// Of `wanted`, what somebody has who acts as each role for which `acts_as` holds. The owner's grant options are
    /// not written down: they are had implicitly.
    pub fn rights_of(
        &self,
        kind: AclKind,
        owner: Oid,
        wanted: Rights,
        grantable: bool,
        acts_as: &dyn Fn(Oid) -> bool,
    ) -> Rights {
        let mut found = Rights::NONE;
        if grantable && acts_as(owner) {
            found = wanted.common(kind.all());
        }
        for item in self.items(kind, owner) {
            let rights = if grantable { item.grantable } else { item.rights };
            if wanted.common(rights).without(found).is_empty() {
                continue;
            }
            if (item.grantee == PUBLIC && !grantable) || (item.grantee != PUBLIC && acts_as(item.grantee)) {
                found = found.with(wanted.common(rights));
            }
        }
        found
    }

    /// GRANT. Errors: 0LP01 when grant options would form a circle.
    pub fn grant(&mut self, kind: AclKind, owner: Oid, change: AclChange) -> PgResult<()> {
        let mut items = self.items(kind, owner);
        // The owner has all grant options implicitly; they are not written down for it.
        let option = change.option && change.grantee != owner;
        if option && change.grantor != owner {
            check_circularity(&items, kind, owner, change)?;
        }
        let found =
            items.iter_mut().find(|item| item.grantee == change.grantee && item.grantor == change.grantor);
        let item = match found {
            Some(item) => item,
            None => {
                items.push(AclItem {
                    grantee: change.grantee,
                    grantor: change.grantor,
                    rights: Rights::NONE,
                    grantable: Rights::NONE,
                });
                items.last_mut().expect("just pushed")
            }
        };
        item.rights = item.rights.with(change.rights);
        if option {
            item.grantable = item.grantable.with(change.rights);
        }
        self.0 = Some(items);
        Ok(())
    }

    /// REVOKE. Errors: 2BP01 when others hold what was granted with the option that goes, and `cascade` is not asked for.
    pub fn revoke(&mut self, kind: AclKind, owner: Oid, change: AclChange, cascade: bool) -> PgResult<()> {
        let mut items = self.items(kind, owner);
        revoke_from(&mut items, owner, change, cascade)?;
        self.0 = Some(items);
        Ok(())
    }

    /// Whether the role is named in the list.
    pub fn mentions(&self, role: Oid) -> bool {
        self.0.iter().flatten().any(|item| item.grantee == role || item.grantor == role)
    }

    /// Takes out every item of a role (DROP OWNED).
    pub fn forget(&mut self, role: Oid) {
        if let Some(items) = &mut self.0 {
            items.retain(|item| item.grantee != role && item.grantor != role);
        }
    }

    /// The object has a new owner: what the old one granted and held is the new one's.
    pub fn change_owner(&mut self, old: Oid, new: Oid) {
        let Some(items) = &mut self.0 else { return };
        let mut merged: Vec<AclItem> = Vec::with_capacity(items.len());
        for mut item in std::mem::take(items) {
            for role in [&mut item.grantee, &mut item.grantor] {
                if *role == old {
                    *role = new;
                }
            }
            match merged.iter_mut().find(|m| m.grantee == item.grantee && m.grantor == item.grantor) {
                Some(known) => {
                    known.rights = known.rights.with(item.rights);
                    known.grantable = known.grantable.with(item.grantable);
                }
                None => merged.push(item),
            }
        }
        *items = merged;
    }
}

/// What the role may grant according to the items alone (the owner may grant everything).
fn grant_options(items: &[AclItem], role: Oid) -> Rights {
    items.iter().filter(|item| item.grantee == role).fold(Rights::NONE, |all, item| all.with(item.grantable))
}

/// A grant option must not come back to one that it was received from. What the grantee's own grants give the grantor is taken
/// away on a copy; if the grantor then cannot grant any more, there is a circle.
fn check_circularity(items: &[AclItem], kind: AclKind, owner: Oid, change: AclChange) -> PgResult<()> {
    let mut copy = items.to_vec();
    while let Some(item) =
        copy.iter().find(|item| item.grantee == change.grantee && !item.grantable.is_empty()).cloned()
    {
        let taken =
            AclChange { grantee: item.grantee, grantor: item.grantor, rights: item.grantable, option: true };
        revoke_from(&mut copy, owner, taken, true)?;
    }
    let left = grant_options(&copy, change.grantor);
    if kind.all().common(change.rights).without(left).is_empty() {
        return Ok(());
    }
    Err(PgError::new(
        SqlState::INVALID_GRANT_OPERATION,
        "grant options cannot be granted back to your own grantor",
    ))
}

fn revoke_from(items: &mut Vec<AclItem>, owner: Oid, change: AclChange, cascade: bool) -> PgResult<()> {
    let position =
        items.iter().position(|item| item.grantee == change.grantee && item.grantor == change.grantor);
    let Some(position) = position else { return Ok(()) };
    let item = &mut items[position];
    let before = item.grantable;
    item.grantable = item.grantable.without(change.rights);
    if !change.option {
        item.rights = item.rights.without(change.rights);
    }
    let lost = before.without(item.grantable);
    if item.rights.is_empty() {
        items.remove(position);
    }
    if lost.is_empty() || change.grantee == owner {
        return Ok(());
    }
    revoke_dependents(items, owner, change.grantee, lost, cascade)
}

/// Somebody has lost grant options from one grantor: what rests on them and is not had from another grantor goes too.
fn revoke_dependents(
    items: &mut Vec<AclItem>,
    owner: Oid,
    grantor: Oid,
    lost: Rights,
    cascade: bool,
) -> PgResult<()> {
    let lost = lost.without(grant_options(items, grantor));
    while let Some(item) =
        items.iter().find(|item| item.grantor == grantor && !item.rights.common(lost).is_empty()).cloned()
    {
        if !cascade {
            return Err(PgError::new(SqlState::DEPENDENT_OBJECTS_STILL_EXIST, "dependent privileges exist")
                .hint("Use CASCADE to revoke them too."));
        }
        let change = AclChange { grantee: item.grantee, grantor, rights: lost, option: false };
        revoke_from(items, owner, change, true)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: Oid = Oid(10);
    const A: Oid = Oid(11);
    const B: Oid = Oid(12);

    fn change(grantee: Oid, grantor: Oid, option: bool) -> AclChange {
        AclChange { grantee, grantor, rights: Rights::SELECT, option }
    }

    fn texts(acl: &Acl) -> Vec<String> {
        let items = acl.items(AclKind::Table, OWNER);
        items.iter().map(|item| format!("{}={}/{}", item.grantee.0, item.letters(), item.grantor.0)).collect()
    }

    #[test]
    fn the_first_grant_writes_the_defaults_down() {
        let mut acl = Acl::default();
        acl.grant(AclKind::Table, OWNER, change(A, OWNER, true)).expect("granted");
        assert_eq!(texts(&acl), ["10=arwdDxt/10", "11=r*/10"]);
        let mut acl = Acl::default();
        acl.grant(AclKind::Function, OWNER, AclChange { rights: Rights::EXECUTE, ..change(A, OWNER, false) })
            .expect("granted");
        assert_eq!(acl.items(AclKind::Function, OWNER).len(), 3);
    }

    #[test]
    fn a_chain_goes_with_its_grant_option() {
        let mut acl = Acl::default();
        acl.grant(AclKind::Table, OWNER, change(A, OWNER, true)).expect("granted");
        acl.grant(AclKind::Table, OWNER, change(B, A, false)).expect("granted");
        let error = acl.clone().revoke(AclKind::Table, OWNER, change(A, OWNER, false), false);
        assert_eq!(error.expect_err("b holds it").code(), SqlState::DEPENDENT_OBJECTS_STILL_EXIST);
        acl.revoke(AclKind::Table, OWNER, change(A, OWNER, true), true).expect("revoked");
        assert_eq!(texts(&acl), ["10=arwdDxt/10", "11=r/10"]);
    }

    #[test]
    fn grant_options_do_not_go_round() {
        let mut acl = Acl::default();
        acl.grant(AclKind::Table, OWNER, change(A, OWNER, true)).expect("granted");
        acl.grant(AclKind::Table, OWNER, change(B, A, true)).expect("granted");
        let error = acl.grant(AclKind::Table, OWNER, change(A, B, true)).expect_err("a circle");
        assert_eq!(error.code(), SqlState::INVALID_GRANT_OPERATION);
    }

    #[test]
    fn everybody_has_what_public_has_but_no_grant_options() {
        let mut acl = Acl::default();
        acl.grant(AclKind::Table, OWNER, change(PUBLIC, OWNER, false)).expect("granted");
        let nobody = |_: Oid| false;
        assert_eq!(acl.rights_of(AclKind::Table, OWNER, Rights::SELECT, false, &nobody), Rights::SELECT);
        assert!(acl.rights_of(AclKind::Table, OWNER, Rights::SELECT, true, &nobody).is_empty());
        let owner = |role: Oid| role == OWNER;
        assert_eq!(acl.rights_of(AclKind::Table, OWNER, Rights::DELETE, true, &owner), Rights::DELETE);
    }
}
