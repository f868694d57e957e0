//! Where values come from: flags over environment over the file.

use std::collections::BTreeMap;

use url::Url;

use super::{ConfigError, SETTINGS, variable};

/// Where a value came from; errors name it so.
#[derive(Clone, Debug)]
struct Given {
    name: String,
    text: String,
}

/// Values by key, the strongest source of each.
#[derive(Debug, Default)]
pub struct Sources(BTreeMap<&'static str, Given>);

impl Sources {
    /// Puts the three sources over each other. `flags` and `env` yield a key's text when given; empty texts of the
    /// environment count as absent.
    pub fn gather(
        flags: impl Fn(&str) -> Option<String>,
        env: impl Fn(&str) -> Option<String>,
        file: Option<(&str, &str)>,
    ) -> Result<Self, ConfigError> {
        let mut values = BTreeMap::new();
        if let Some((path, text)) = file {
            read_file(path, text, &mut values)?;
        }
        for setting in SETTINGS {
            let variable = variable(setting.key);
            if let Some(text) = env(&variable).filter(|text| !text.is_empty()) {
                values.insert(setting.key, Given { name: variable, text });
            }
            if let Some(text) = flags(setting.key) {
                let name = format!("--{}", setting.key.replace('_', "-"));
                values.insert(setting.key, Given { name, text });
            }
        }
        Ok(Self(values))
    }

    /// Sets what nobody gave: a command's own defaults.
    pub fn or_default(&mut self, key: &'static str, text: impl Into<String>) {
        self.0.entry(key).or_insert_with(|| Given {
            name: variable(key),
            text: text.into(),
        });
    }

    /// The given values as environment variables, for a process of this binary that shall use the same.
    pub fn environment(&self) -> Vec<(String, String)> {
        self.0
            .iter()
            .map(|(key, given)| (variable(key), given.text.clone()))
            .collect()
    }

    fn text(&self, key: &'static str) -> Option<Given> {
        let default = || {
            let setting = SETTINGS.iter().find(|setting| setting.key == key)?;
            (!setting.default.is_empty()).then(|| Given {
                name: variable(key),
                text: setting.default.to_owned(),
            })
        };
        self.0.get(key).cloned().or_else(default)
    }

    pub(super) fn optional<T>(
        &self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(given) = self.text(key) else {
            return Ok(None);
        };
        match parse(&given.text) {
            Some(value) => Ok(Some(value)),
            None => Err(wrong(key, &given, allowed)),
        }
    }

    pub(super) fn required<T>(
        &self,
        key: &'static str,
        allowed: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<T, ConfigError> {
        self.optional(key, allowed, parse)?.ok_or_else(|| {
            wrong(
                key,
                &Given {
                    name: variable(key),
                    text: String::new(),
                },
                allowed,
            )
        })
    }

    pub(super) fn number(&self, key: &'static str, min: u32, max: u32) -> Result<u32, ConfigError> {
        self.required(key, &format!("a whole number from {min} to {max}"), |text| {
            text.parse().ok().filter(|number| (min..=max).contains(number))
        })
    }

    pub(super) fn web_address(&self, key: &'static str) -> Result<Option<Url>, ConfigError> {
        self.optional(key, "an address such as https://unstuck.example.com", |text| {
            Url::parse(text)
                .ok()
                .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        })
    }
}

fn wrong(key: &str, given: &Given, allowed: &str) -> ConfigError {
    let secret = SETTINGS
        .iter()
        .any(|setting| setting.key == key && setting.secret);
    let shown = if secret {
        "not usable".to_owned()
    } else {
        format!("{:?}", given.text)
    };
    ConfigError::Wrong {
        name: given.name.clone(),
        given: shown,
        allowed: format!("it must be {allowed}"),
    }
}

fn read_file(path: &str, text: &str, values: &mut BTreeMap<&'static str, Given>) -> Result<(), ConfigError> {
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
        file: path.to_owned(),
        problem: error.message().to_owned(),
    })?;
    for (name, value) in table {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == name) else {
            let known = SETTINGS
                .iter()
                .map(|setting| setting.key)
                .collect::<Vec<_>>()
                .join(", ");
            return Err(ConfigError::Unknown {
                name,
                place: path.to_owned(),
                known,
            });
        };
        let text = match value {
            toml::Value::String(text) => text,
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Boolean(flag) => flag.to_string(),
            toml::Value::Array(items) => {
                let texts: Option<Vec<&str>> = items.iter().map(toml::Value::as_str).collect();
                let problem = format!("{name} must be a list of texts");
                texts
                    .ok_or(ConfigError::File {
                        file: path.to_owned(),
                        problem,
                    })?
                    .join(",")
            }
            toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Table(_) => {
                let problem = format!("{name} must be a text, a whole number, true or false");
                return Err(ConfigError::File {
                    file: path.to_owned(),
                    problem,
                });
            }
        };
        values.insert(
            setting.key,
            Given {
                name: format!("{name} in {path}"),
                text,
            },
        );
    }
    Ok(())
}
