//! Settings: those of the session, and those of the cluster.

use crate::cluster_settings::InForce;
use crate::session::Services;
use crate::virtual_tables::Definition;
use crate::virtual_tables::shape::*;

view! {
    Settings: 15903 meridian.settings {
        name: TEXT, value: TEXT, description: TEXT,
    }
}

view! {
    ClusterSettings: 15904 meridian.cluster_settings {
        name: TEXT, value: TEXT, default_value: TEXT, vartype: TEXT, unit: TEXT, min_val: TEXT, max_val: TEXT,
        description: TEXT,
    }
}

pub static TABLES: &[Definition] = &[
    Settings::definition(Rows::Session(|services| values(settings(services)))),
    ClusterSettings::definition(Rows::Session(cluster_settings)),
];

fn settings(services: &Services) -> Vec<Settings> {
    let all = services.settings.lock().all().into_iter();
    all.map(|(name, value, definition)| Settings {
        name: text(name),
        value: text(value),
        description: optional_text(definition.map(|definition| definition.description)),
    })
    .collect()
}

fn cluster_settings(services: &Services) -> Vec<Values> {
    let in_force = InForce::of(&services.catalog.snapshot, &services.catalog.server.options);
    in_force.rows().into_iter().map(|row| row.into_iter().map(optional_text).collect()).collect()
}
