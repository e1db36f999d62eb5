//! What is wanted of a range: how many replicas, where, and where the lease.
//!
//! # Text
//!
//! ```text
//! constraints  :=  constraint { ";" constraint }
//! constraint   :=  [ COUNT ":" ] rules        with COUNT: so many replicas at least; without: every replica
//! preferences  :=  rules { ";" rules }        the best first
//! rules        :=  rule { "," rule }
//! rule         :=  [ "+" | "-" ] TIER "=" VALUE     "-": not there
//! ```
//!
//! `region=eu; 1: zone=a; 1: zone=b, -disk=hdd`: every replica in the region eu, at least one of them in the zone a, and at least one
//! in the zone b that is not on a hard disk.
//!
//! # Bytes, version 1
//!
//! ```text
//! config := version:u8 = 1, replicas:u8 (0: the cluster's default), constraints, preferences
//!   each a text of its canonical form with a 32-bit length
//! ```

use std::fmt;

use kvapi::Locality;
use kvapi::membership::LOCALITY_TEXT_BYTES_MAX;
use kvapi::wire::{Malformed, Reader, Writer};

/// Replicas of a range, at most.
pub const REPLICAS_MAX: u8 = 9;
/// Constraints, or preferences, at most.
pub const CLAUSES_MAX: usize = 16;
/// Rules of a constraint or preference, at most.
pub const RULES_MAX: usize = 16;

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidConfig(pub String);

/// A tier that must, or must not, have a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rule {
    pub prohibits: bool,
    pub tier: String,
    pub value: String,
}

impl Rule {
    pub fn allows(&self, locality: &Locality) -> bool {
        (locality.tier(&self.tier) == Some(self.value.as_str())) != self.prohibits
    }

    fn parse(text: &str) -> Result<Rule, InvalidConfig> {
        let invalid = |reason: &str| InvalidConfig(format!("\"{text}\" is not a rule: {reason}"));
        let (prohibits, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (tier, value) = rest.split_once('=').ok_or(invalid("it has no ="))?;
        let (tier, value) = (tier.trim(), value.trim());
        for part in [tier, value] {
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if part.is_empty() || part.len() > LOCALITY_TEXT_BYTES_MAX || !part.chars().all(allowed) {
                return Err(invalid("tiers and values are 1 to 64 letters, digits, -, _ or ."));
            }
        }
        Ok(Rule { prohibits, tier: tier.to_string(), value: value.to_string() })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}={}", if self.prohibits { "-" } else { "" }, self.tier, self.value)
    }
}

fn parse_rules(text: &str) -> Result<Vec<Rule>, InvalidConfig> {
    let rules = text.split(',').map(|rule| Rule::parse(rule.trim())).collect::<Result<Vec<_>, _>>()?;
    if rules.len() > RULES_MAX {
        return Err(InvalidConfig(format!("more than {RULES_MAX} rules are combined")));
    }
    for (position, rule) in rules.iter().enumerate() {
        let before = &rules[..position];
        let clashes = |other: &Rule| {
            let same = other.value == rule.value;
            // A tier has one value: two required ones exclude each other, and so do a rule and its opposite.
            other.tier == rule.tier
                && if other.prohibits == rule.prohibits { !rule.prohibits && !same } else { same }
        };
        if let Some(other) = before.iter().find(|other| clashes(other)) {
            return Err(InvalidConfig(format!("no node can fulfil both \"{other}\" and \"{rule}\"")));
        }
    }
    Ok(rules)
}

fn parse_clauses<T>(
    text: &str,
    parse: impl Fn(&str) -> Result<T, InvalidConfig>,
) -> Result<Vec<T>, InvalidConfig> {
    if text.trim().is_empty() {
        return Ok(Vec::new());
    }
    let clauses = text.split(';').map(|clause| parse(clause.trim())).collect::<Result<Vec<_>, _>>()?;
    if clauses.len() > CLAUSES_MAX {
        return Err(InvalidConfig(format!("there are more than {CLAUSES_MAX} parts")));
    }
    Ok(clauses)
}

fn write_rules(f: &mut fmt::Formatter<'_>, rules: &[Rule]) -> fmt::Result {
    for (position, rule) in rules.iter().enumerate() {
        write!(f, "{}{rule}", if position == 0 { "" } else { ", " })?;
    }
    Ok(())
}

fn allow(rules: &[Rule], locality: &Locality) -> bool {
    rules.iter().all(|rule| rule.allows(locality))
}

/// Where replicas must be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraint {
    /// So many replicas at least; `None`: every one.
    pub count: Option<u8>,
    pub rules: Vec<Rule>,
}

impl Constraint {
    pub fn allows(&self, locality: &Locality) -> bool {
        allow(&self.rules, locality)
    }

    fn parse(text: &str) -> Result<Constraint, InvalidConfig> {
        let Some((count, rules)) = text.split_once(':') else {
            return Ok(Constraint { count: None, rules: parse_rules(text)? });
        };
        let number = count.trim().parse::<u8>().ok().filter(|count| (1..=REPLICAS_MAX).contains(count));
        let invalid = || {
            InvalidConfig(format!(
                "\"{}\" is not a number of replicas from 1 to {REPLICAS_MAX}",
                count.trim()
            ))
        };
        Ok(Constraint { count: Some(number.ok_or_else(invalid)?), rules: parse_rules(rules.trim())? })
    }
}

/// Where replicas must be, all taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Constraints(pub Vec<Constraint>);

impl Constraints {
    pub fn parse(text: &str) -> Result<Constraints, InvalidConfig> {
        parse_clauses(text, Constraint::parse).map(Constraints)
    }

    /// Replicas that constraints with a number ask for, all together.
    pub fn counted(&self) -> u32 {
        self.0.iter().filter_map(|constraint| constraint.count.map(u32::from)).sum()
    }
}

impl fmt::Display for Constraints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, constraint) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { "; " })?;
            if let Some(count) = constraint.count {
                write!(f, "{count}: ")?;
            }
            write_rules(f, &constraint.rules)?;
        }
        Ok(())
    }
}

/// Where the lease should be if a replica there lives: the best first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeasePreferences(pub Vec<Vec<Rule>>);

impl LeasePreferences {
    pub fn parse(text: &str) -> Result<LeasePreferences, InvalidConfig> {
        parse_clauses(text, parse_rules).map(LeasePreferences)
    }

    /// The position of the first that a locality fulfils; their number if none.
    pub fn rank(&self, locality: &Locality) -> u8 {
        let found = self.0.iter().position(|rules| allow(rules, locality));
        found.unwrap_or(self.0.len()) as u8
    }
}

impl fmt::Display for LeasePreferences {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, rules) in self.0.iter().enumerate() {
            f.write_str(if position == 0 { "" } else { "; " })?;
            write_rules(f, rules)?;
        }
        Ok(())
    }
}

/// What is wanted of the ranges of a span.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RangeConfig {
    /// Odd, at most [`REPLICAS_MAX`]; `None`: the cluster's default.
    pub replicas: Option<u8>,
    pub constraints: Constraints,
    pub lease_preferences: LeasePreferences,
}

impl RangeConfig {
    /// An even number tolerates no more than the odd one below it.
    pub fn check_replicas(replicas: u8) -> Result<(), InvalidConfig> {
        if replicas % 2 == 1 && replicas <= REPLICAS_MAX {
            return Ok(());
        }
        Err(InvalidConfig(format!("{replicas} is not an odd number of replicas from 1 to {REPLICAS_MAX}")))
    }

    /// Whether the parts fit each other, where the default number of replicas is known.
    pub fn check(&self, default_replicas: u8) -> Result<(), InvalidConfig> {
        let replicas = self.replicas.unwrap_or(default_replicas);
        RangeConfig::check_replicas(replicas)?;
        let counted = self.constraints.counted();
        if counted > u32::from(replicas) {
            return Err(InvalidConfig(format!(
                "the constraints ask for {counted} replicas in certain places, of {replicas}"
            )));
        }
        Ok(())
    }

    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer(&mut bytes);
        writer.u8(1);
        writer.u8(self.replicas.unwrap_or(0));
        writer.bytes(self.constraints.to_string().as_bytes());
        writer.bytes(self.lease_preferences.to_string().as_bytes());
        bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<RangeConfig, Malformed> {
        let mut reader = Reader(bytes);
        reader.version()?;
        let replicas = reader.u8()?;
        if replicas != 0 {
            RangeConfig::check_replicas(replicas).map_err(|_| Malformed("a number of replicas"))?;
        }
        let mut text =
            || std::str::from_utf8(reader.bytes()?).map_err(|_| Malformed("text of a range's configuration"));
        let (constraints, preferences) = (text()?, text()?);
        let config = RangeConfig {
            replicas: (replicas != 0).then_some(replicas),
            constraints: Constraints::parse(constraints).map_err(|_| Malformed("constraints"))?,
            lease_preferences: LeasePreferences::parse(preferences)
                .map_err(|_| Malformed("lease preferences"))?,
        };
        reader.finish()?;
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locality(text: &str) -> Locality {
        Locality::parse(text).expect("a locality")
    }

    #[test]
    fn constraints_are_read_and_written_the_same_way() {
        let text = "region=eu; 1: zone=a; 2: zone=b, -disk=hdd";
        let constraints = Constraints::parse(text).expect("constraints");
        assert_eq!(constraints.to_string(), text);
        assert_eq!(constraints.counted(), 3);
        assert_eq!(
            Constraints::parse(" +region=eu ;1:zone=a;2 : zone=b,-disk=hdd "),
            Ok(constraints.clone())
        );
        assert!(constraints.0[2].allows(&locality("region=us,zone=b")));
        assert!(!constraints.0[2].allows(&locality("region=us,zone=b,disk=hdd")));
        assert_eq!(Constraints::parse("  "), Ok(Constraints::default()));
    }

    #[test]
    fn what_no_node_can_fulfil_is_refused() {
        for wrong in [
            "region",
            "region=",
            "=eu",
            "a=1;",
            "a=b c",
            "0: a=1",
            "10: a=1",
            "x: a=1",
            "a=1, a=2",
            "a=1, -a=1",
        ] {
            assert!(Constraints::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Constraints::parse("-a=1, -a=2; a=3").is_ok());
        let constraints = Constraints::parse("2: a=1; 2: a=2").expect("constraints");
        let config = RangeConfig { constraints, ..RangeConfig::default() };
        assert!(config.check(3).is_err());
        assert!(config.check(5).is_ok());
        assert!(RangeConfig::check_replicas(4).is_err());
        assert!(RangeConfig::check_replicas(0).is_err());
        assert!(RangeConfig::check_replicas(11).is_err());
    }

    #[test]
    fn preferences_are_ranked_in_their_order() {
        let preferences = LeasePreferences::parse("region=eu, zone=a; region=eu").expect("preferences");
        assert_eq!(preferences.rank(&locality("region=eu,zone=a")), 0);
        assert_eq!(preferences.rank(&locality("region=eu,zone=b")), 1);
        assert_eq!(preferences.rank(&locality("region=us,zone=a")), 2);
    }

    #[test]
    fn the_bytes_are_frozen() {
        let config = RangeConfig {
            replicas: Some(5),
            constraints: Constraints::parse("1: a=b").expect("constraints"),
            lease_preferences: LeasePreferences::parse("-c=d").expect("preferences"),
        };
        let bytes = [&[1, 5, 0, 0, 0, 6][..], b"1: a=b", &[0, 0, 0, 4], b"-c=d"].concat();
        assert_eq!(config.encode(), bytes);
        assert_eq!(RangeConfig::decode(&bytes), Ok(config));
        for wrong in [&bytes[..bytes.len() - 1], &[2, 5], &[1, 4, 0, 0, 0, 0, 0, 0, 0, 0], &[]] {
            assert!(RangeConfig::decode(wrong).is_err());
        }
        let default = RangeConfig::default();
        assert_eq!(RangeConfig::decode(&default.encode()), Ok(default));
    }
}
