//! The house's walls: who may name whom, read from the sources.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The code of a file without its comments, by path below `src`.
fn files() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    found
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(&root)
                .expect("below src")
                .to_string_lossy()
                .replace('\\', "/");
            let text = fs::read_to_string(&path).expect("readable");
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect::<Vec<_>>()
                .join("\n");
            (name, code)
        })
        .collect()
}

fn names(code: &str, crate_name: &str) -> bool {
    code.contains(&format!("{crate_name}::")) || code.contains(&format!("use {crate_name};"))
}

/// Each foreign crate and the only places that may name it.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["store/"]),
    ("lapin", &["broker/"]),
    ("reqwest", &["broker/", "services/webhook"]),
    ("axum", &["web/"]),
    ("askama", &["web/"]),
    ("clap", &["cli/"]),
    ("anyhow", &["cli/", "app", "main.rs"]),
];

#[test]
fn a_foreign_crate_is_named_only_in_its_home() {
    for (name, code) in files() {
        for (crate_name, homes) in HOMES {
            let at_home = homes.iter().any(|home| name.starts_with(home));
            assert!(
                at_home || !names(&code, crate_name),
                "{name} names {crate_name}, which belongs to {homes:?}"
            );
        }
    }
}

/// Each layer and what it must not look at.
const WALLS: &[(&str, &[&str])] = &[
    (
        "domain/",
        &["store", "broker", "services", "web", "cli", "app", "config"],
    ),
    ("store/", &["broker", "services", "web", "cli", "app", "config"]),
    ("broker/", &["store", "services", "web", "cli", "app", "config"]),
    ("services/", &["web", "cli", "app"]),
    ("web/", &["cli", "app"]),
];

/// The modules of our own crate that `code` names: `crate::store::…`, and the heads of `crate::{store::…, web::…}`.
fn own_modules(code: &str) -> Vec<String> {
    let head = |text: &str| {
        text.chars()
            .take_while(|char| char.is_alphanumeric() || *char == '_')
            .collect::<String>()
    };
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            found.push(head(rest));
            continue;
        };
        let (mut depth, mut fresh) = (0, true);
        for (at, char) in group.char_indices() {
            match char {
                '{' => depth += 1,
                '}' if depth == 0 => break,
                '}' => depth -= 1,
                ',' if depth == 0 => fresh = true,
                _ if fresh && !char.is_whitespace() => {
                    found.push(head(&group[at..]));
                    fresh = false;
                }
                _ => {}
            }
        }
    }
    found
}

#[test]
fn a_layer_looks_only_at_those_below_it() {
    for (name, code) in files() {
        for (layer, above) in WALLS.iter().filter(|(layer, _)| name.starts_with(layer)) {
            for module in own_modules(&code) {
                assert!(
                    !above.contains(&module.as_str()),
                    "{name} looks at {module}: {layer} must not"
                );
            }
        }
    }
}

#[test]
fn grouped_imports_are_seen_through() {
    let code =
        "use crate::{\n    domain::{task::Task, time},\n    web::Site,\n};\nfn f() { crate::store::go() }";
    assert_eq!(own_modules(code), ["domain", "web", "store"]);
}

#[test]
fn the_domain_is_pure() {
    for (name, code) in files()
        .into_iter()
        .filter(|(name, _)| name.starts_with("domain/"))
    {
        for impure in [
            "async fn",
            "tokio::",
            "std::fs",
            "std::net",
            "SystemTime::now",
            "Instant::now",
            "tracing::",
        ] {
            assert!(!code.contains(impure), "{name} has {impure}");
        }
    }
}
