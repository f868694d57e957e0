//! The flags of every setting, made from the one list of settings.

use std::{collections::HashMap, ffi::OsString};

use anyhow::Context;
use clap::{Arg, ArgMatches, Args, Command, Error, FromArgMatches};

use crate::config::{SETTINGS, Sources, variable};

/// The settings given as flags, and the configuration file.
#[derive(Clone, Debug)]
pub(super) struct SettingArgs {
    flags: HashMap<&'static str, String>,
    file: Option<String>,
}

impl SettingArgs {
    /// Puts flags, environment and file over each other.
    pub(super) fn gather(&self) -> anyhow::Result<Sources> {
        let path = self.file.clone().or_else(|| {
            std::env::var("UNSTUCK_CONFIG")
                .ok()
                .filter(|path| !path.is_empty())
        });
        let text = match &path {
            Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("can't read {path}"))?),
            None => None,
        };
        let env = |name: &str| {
            std::env::var_os(name)
                .map(OsString::into_string)
                .and_then(Result::ok)
        };
        let file = path.as_deref().zip(text.as_deref());
        Ok(Sources::gather(|key| self.flags.get(key).cloned(), env, file)?)
    }
}

impl Args for SettingArgs {
    fn augment_args(command: Command) -> Command {
        let file = Arg::new("config")
            .long("config")
            .value_name("FILE")
            .global(true)
            .help("TOML file with any of the settings below [env: UNSTUCK_CONFIG]");
        SETTINGS.iter().fold(command.arg(file), |command, setting| {
            let default = match setting.default {
                "" => String::new(),
                default => format!(" [default: {default}]"),
            };
            let help = format!("{} [env: {}]{default}", setting.about, variable(setting.key));
            command.arg(
                Arg::new(setting.key)
                    .long(setting.key.replace('_', "-"))
                    .value_name("VALUE")
                    .global(true)
                    .help(help)
                    .help_heading("Settings")
                    .hide_short_help(true),
            )
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for SettingArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let flags = SETTINGS
            .iter()
            .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone())))
            .collect();
        Ok(Self {
            flags,
            file: matches.get_one::<String>("config").cloned(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
