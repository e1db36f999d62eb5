//! The little of a Cargo.toml that the layering test needs: names of dependencies.

use std::path::Path;

/// The dependencies of one crate, by kind.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    pub name: String,
    pub dependencies: Vec<String>,
    pub dev_dependencies: Vec<String>,
    pub build_dependencies: Vec<String>,
}

impl Manifest {
    pub fn read(path: &Path) -> Manifest {
        let text =
            std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Manifest::parse(&text)
    }

    /// Understands `[dependencies]` tables with one dependency per line and `[dependencies.NAME]` tables, also
    /// those of a target.
    pub fn parse(text: &str) -> Manifest {
        let mut manifest = Manifest::default();
        let mut section = String::new();
        for line in text.lines() {
            let line = line.trim();
            if let Some(header) = line.strip_prefix('[') {
                section = header.trim_end_matches(']').to_string();
                let table =
                    section.rsplit_once('.').map(|(table, name)| (table.to_string(), name.to_string()));
                if let Some((table, name)) = table
                    && let Some(list) = manifest.list(&table)
                {
                    list.push(name);
                }
                continue;
            }
            let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else {
                continue;
            };
            let key = key.trim().split('.').next().unwrap_or_default().trim_matches('"').to_string();
            if section == "package" && key == "name" {
                manifest.name = value.trim().trim_matches('"').to_string();
            }
            if let Some(list) = manifest.list(&section.clone()) {
                list.push(key);
            }
        }
        manifest
    }

    fn list(&mut self, section: &str) -> Option<&mut Vec<String>> {
        let kind = section.rsplit('.').next().unwrap_or_default();
        match kind {
            "dependencies" if !section.starts_with("workspace") => Some(&mut self.dependencies),
            "dev-dependencies" => Some(&mut self.dev_dependencies),
            "build-dependencies" => Some(&mut self.build_dependencies),
            _ => None,
        }
    }

    pub fn all(&self) -> impl Iterator<Item = &str> {
        let lists = [&self.dependencies, &self.dev_dependencies, &self.build_dependencies];
        lists.into_iter().flatten().map(String::as_str)
    }
}

#[test]
fn manifests_of_every_form_are_understood() {
    let manifest = Manifest::parse(
        "[package]\nname = \"x\"\n[dependencies]\n# no = \"1\"\na.workspace = true\nb = { path = \"../b\" }\n\
         [dependencies.c]\nversion = \"1\"\n[target.'cfg(unix)'.dependencies]\nd = \"1\"\n[dev-dependencies]\ne = \"1\"\n\
         [build-dependencies]\nf = \"1\"\n[workspace.dependencies]\ng = \"1\"\n",
    );
    assert_eq!(manifest.name, "x");
    assert_eq!(manifest.dependencies, ["a", "b", "c", "d"]);
    assert_eq!(manifest.dev_dependencies, ["e"]);
    assert_eq!(manifest.build_dependencies, ["f"]);
    assert_eq!(manifest.all().count(), 6);
}
