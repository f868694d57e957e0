//! `unstuck doctor`: what `services::doctor` found, for a person at a terminal.

use std::io::Write;

use crate::{
    config::Config,
    domain::{evidence::Arg, finding::Phrase, lint::Grade},
    services::doctor,
    web::i18n::Lang,
};

/// Prints each note with what mends it. Errors when something is wrong, so that scripts notice.
pub(super) async fn run(config: &Config) -> anyhow::Result<()> {
    let lang = language();
    let notes = doctor::examine(&config.database_url, &config.broker).await;
    let mut out = std::io::stdout().lock();
    for note in &notes {
        let grade = lang.of("grade", note.grade).to_string();
        writeln!(
            out,
            "{grade:<7} {}: {}",
            note.subject,
            lang.phrase(&note.sentence())
        )?;
        if let Some(command) = &note.command {
            writeln!(out, "        {} {command}", lang.t("doctor-mend"))?;
        }
    }
    let count = |grade: Grade| notes.iter().filter(|note| note.grade == grade).count();
    match (count(Grade::Wrong), count(Grade::Advice)) {
        (0, 0) => writeln!(out, "\n{}", lang.t("doctor-healthy"))?,
        (0, _) => writeln!(out, "\n{}", lang.t("doctor-advice"))?,
        (wrong, _) => {
            let count = ("count", Arg::Number(i64::try_from(wrong)?));
            let trouble = Phrase {
                key: "doctor-trouble".to_owned(),
                args: vec![count],
            };
            anyhow::bail!("{}", lang.phrase(&trouble));
        }
    }
    Ok(())
}

/// The terminal's language, as far as the site speaks it.
fn language() -> Lang {
    ["LC_ALL", "LC_MESSAGES", "LANG"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
        .and_then(|value| Lang::from_tag(&value.split('.').next()?.replace('_', "-")))
        .unwrap_or(Lang::En)
}
