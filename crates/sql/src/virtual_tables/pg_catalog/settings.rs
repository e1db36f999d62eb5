//! pg_settings and the time zones.

use types::{Datum, Interval, TimeZone, timezone};

use crate::cluster_settings::InForce;
use crate::session::Services;
use crate::settings::checks::parse_with_unit;
use crate::settings::{Context, Definition as Setting, Kind};
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    PgSettings: 12104 pg_catalog.pg_settings {
        name: TEXT, setting: TEXT, unit: TEXT, category: TEXT, short_desc: TEXT, extra_desc: TEXT,
        context: TEXT, vartype: TEXT, source: TEXT, min_val: TEXT, max_val: TEXT, enumvals: TEXTS,
        boot_val: TEXT, reset_val: TEXT, sourcefile: TEXT, sourceline: INT4, pending_restart: BOOL,
    }
}

view! {
    PgTimezoneNames: 12126 pg_catalog.pg_timezone_names {
        name: TEXT, abbrev: TEXT, utc_offset: INTERVAL, is_dst: BOOL,
    }
}

view! {
    PgTimezoneAbbrevs: 12122 pg_catalog.pg_timezone_abbrevs {
        abbrev: TEXT, utc_offset: INTERVAL, is_dst: BOOL,
    }
}

pub static TABLES: &[Definition] = &[
    PgSettings::definition(Rows::Session(|services| values(settings(services)))),
    PgTimezoneNames::definition(Rows::Session(|services| values(zone_names(services)))),
    PgTimezoneAbbrevs::definition(Rows::Session(|services| values(zone_abbreviations(services)))),
];

fn settings(services: &Services) -> Vec<PgSettings> {
    let all = services.settings.lock().all();
    let of_session = all.into_iter().map(|(name, value, definition)| setting(&name, &value, definition));
    let in_force = InForce::of(&services.catalog.snapshot, &services.catalog.server.options);
    let of_cluster =
        in_force.all().into_iter().filter(|(definition, _)| definition.context == Context::System);
    let of_cluster = of_cluster.map(|(definition, value)| {
        let is_set = in_force.set_text(definition.name).is_some();
        PgSettings {
            category: text("Cluster Settings"),
            source: text(if is_set { "configuration file" } else { "default" }),
            reset_val: text(in_unit(definition.kind, value)),
            ..setting(definition.name, value, Some(definition))
        }
    });
    of_session.chain(of_cluster).collect()
}

/// `definition` is missing for a setting that a user made up.
fn setting(name: &str, value: &str, definition: Option<&Setting>) -> PgSettings {
    let shown = definition.map_or_else(|| value.to_string(), |definition| in_unit(definition.kind, value));
    let default = definition.map(|definition| in_unit(definition.kind, definition.default));
    let is_default = default.as_deref() == Some(shown.as_str());
    let (least, most) = definition.map_or((None, None), |definition| bounds(definition.kind));
    let choices = match definition.map(|definition| definition.kind) {
        Some(Kind::Enum(choices)) => texts(choices.iter().copied()),
        _ => Datum::Null,
    };
    PgSettings {
        name: text(name),
        setting: text(&shown),
        unit: optional_text(definition.and_then(|definition| definition.kind.unit())),
        category: text(if definition.is_some() { "Settings" } else { "Customized Options" }),
        short_desc: optional_text(definition.map(|definition| definition.description)),
        extra_desc: Datum::Null,
        context: text(definition.map_or("user", |definition| definition.context.name())),
        vartype: text(definition.map_or("string", |definition| definition.kind.type_name())),
        source: text(if is_default { "default" } else { "session" }),
        min_val: optional_text(least),
        max_val: optional_text(most),
        enumvals: choices,
        boot_val: optional_text(default.as_deref()),
        reset_val: optional_text(default.as_deref()),
        sourcefile: Datum::Null,
        sourceline: Datum::Null,
        pending_restart: boolean(false),
    }
}

/// A value as pg_settings shows it: a bare number of the setting's unit.
fn in_unit(kind: Kind, value: &str) -> String {
    let units = kind.units();
    let number = if units.is_empty() { None } else { parse_with_unit(value, units) };
    number.map_or_else(|| value.to_string(), |number| number.to_string())
}

fn bounds(kind: Kind) -> (Option<String>, Option<String>) {
    let bounds = kind.range().map(|(least, most)| (least.to_string(), most.to_string()));
    bounds.unzip()
}

fn seconds(count: i32) -> Datum {
    Datum::Interval(Interval { months: 0, days: 0, microseconds: i64::from(count) * 1_000_000 })
}

fn now(services: &Services) -> i64 {
    executor::wall_to_timestamp(services.catalog.server.env.wall())
}

fn zone_names(services: &Services) -> Vec<PgTimezoneNames> {
    let now = now(services);
    let row = |name: &'static str| {
        let offset = TimeZone::named(name)?.offset_at(now);
        Some(PgTimezoneNames {
            name: text(name),
            abbrev: text(&offset.abbreviation),
            utc_offset: seconds(offset.east_seconds),
            is_dst: boolean(offset.daylight_saving),
        })
    };
    timezone::zone_names().into_iter().filter_map(row).collect()
}

fn zone_abbreviations(services: &Services) -> Vec<PgTimezoneAbbrevs> {
    let row = |(abbreviation, east, daylight_saving): (String, i32, bool)| PgTimezoneAbbrevs {
        abbrev: text(abbreviation),
        utc_offset: seconds(east),
        is_dst: boolean(daylight_saving),
    };
    timezone::zone_abbreviations(now(services)).into_iter().map(row).collect()
}
