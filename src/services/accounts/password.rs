//! Passwords: which ones will do, and how they are kept.

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;

/// A password is the only factor: NIST SP 800-63B-4 asks for 15 characters then.
pub(super) const SHORTEST: usize = 15;
/// What a configured first password must have at least; below `SHORTEST` it is taken with a warning.
pub(super) const SHORTEST_CONFIGURED: usize = 8;
/// More is no password but a way to keep us busy. Bytes.
const LONGEST: usize = 1024;
/// Hashes at once, of which each takes 19 MiB and tens of milliseconds of a core.
const AT_ONCE: usize = 2;
/// Hashes that may wait for their turn.
const WAITING: usize = 50;

/// Why a password will not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordFlaw {
    #[error("use at least {at_least} characters; a few words you can remember will do")]
    Short { at_least: usize },
    #[error("use at most {LONGEST} bytes")]
    Long,
    #[error("this password is among the first that are guessed; choose another")]
    Guessable,
}

/// Fifty hashes wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many people are signing in at this moment")]
pub struct HashingBusy;

/// Passwords and their pieces that are guessed first. Shorter ones can't come up: of `SHORTEST` characters most
/// common passwords are repetitions and runs, which `check` finds by itself.
const GUESSED_FIRST: &[&str] = &[
    "correcthorsebatterystaple",
    "passwordpassword",
    "administrator",
    "letmeinletmein",
    "iloveyouiloveyou",
    "trustno1trustno1",
    "welcomewelcome",
    "changemechangeme",
    "unstuckunstuck",
    "rabbitmqrabbitmq",
    "guestguestguest",
];

/// Whether `password` will do for the account of `email`: long enough and not guessable. No rule of composition.
pub(super) fn check(password: &str, email: &str, at_least: usize) -> Result<(), PasswordFlaw> {
    if password.len() > LONGEST {
        return Err(PasswordFlaw::Long);
    }
    if password.chars().count() < at_least {
        return Err(PasswordFlaw::Short { at_least });
    }
    // What is left without case, digits at the end and separators is what a guesser begins with.
    let lower = password.to_lowercase();
    let core: String = lower.chars().filter(|char| char.is_alphanumeric()).collect();
    let word = core.trim_end_matches(|char: char| char.is_ascii_digit());
    let name = email.split('@').next().unwrap_or_default().to_lowercase();
    let guessable = GUESSED_FIRST.contains(&word)
        || word == "password"
        || (!name.is_empty() && word.trim_start_matches(name.as_str()).is_empty())
        || core == email.to_lowercase().replace(['@', '.', '-', '_', '+'], "")
        || is_run(&lower)
        || is_repetition(&lower);
    if guessable {
        Err(PasswordFlaw::Guessable)
    } else {
        Ok(())
    }
}

/// `abcdefgh…`, `123456789…`, `qwertyuiop…`, forwards or backwards.
fn is_run(text: &str) -> bool {
    const RUNS: [&str; 4] = [
        "abcdefghijklmnopqrstuvwxyz",
        "0123456789",
        "1234567890",
        "qwertyuiopasdfghjklzxcvbnm",
    ];
    RUNS.iter().any(|run| {
        let endless = run.repeat(4);
        let backwards: String = endless.chars().rev().collect();
        text.len() <= endless.len() && (endless.contains(text) || backwards.contains(text))
    })
}

/// One piece of up to five characters over and over: `aaaa…`, `abcabc…`.
fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=5).any(|size| chars.len() > size && chars.iter().zip(chars.iter().skip(size)).all(|(a, b)| a == b))
}

/// Argon2id as OWASP's minimum has it: 19 MiB, 2 passes, 1 lane.
fn argon2() -> Argon2<'static> {
    let params = Params::new(19_456, 2, 1, None).expect("constants within Argon2's bounds");
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}

/// What a login without an account is compared with, so that it takes as long as one with.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$vrh7ZiPRKxMGNAa+v7niIQ$r9KLsyRzjqDREJ/B3/y+1aRd0DuCujM/iCoPfHxuiq4";

fn hash_now(password: &str) -> String {
    argon2()
        .hash_password(password.as_bytes())
        .expect("a salt from the system and room for a hash")
        .to_string()
}

fn matches_now(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| argon2().verify_password(password.as_bytes(), &hash).is_ok())
}

/// Whether `hash` was made with weaker parameters than ours.
pub(super) fn is_outdated(hash: &str) -> bool {
    !hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$")
}

/// Hashes passwords off the runtime's threads, a few at a time, so that a flood of logins takes no heartbeat's core.
pub(super) struct Hashing {
    places: Semaphore,
    running: Semaphore,
}

impl Hashing {
    pub(super) fn new() -> Self {
        Self {
            places: Semaphore::new(WAITING + AT_ONCE),
            running: Semaphore::new(AT_ONCE),
        }
    }

    /// A PHC string of `password` with a salt of its own.
    pub(super) async fn hash(&self, password: String) -> Result<String, HashingBusy> {
        self.run(move || hash_now(&password)).await
    }

    /// Whether `password` is the one of `hash`. Without a hash it takes as long and is `false`.
    pub(super) async fn matches(&self, password: String, hash: Option<String>) -> Result<bool, HashingBusy> {
        self.run(move || match hash {
            Some(hash) => matches_now(&password, &hash),
            None => {
                matches_now(&password, NOBODY);
                false
            }
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingBusy> {
        let _place = self.places.try_acquire().map_err(|_| HashingBusy)?;
        let _turn = self.running.acquire().await.map_err(|_| HashingBusy)?;
        tokio::task::spawn_blocking(work).await.map_err(|_| HashingBusy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_the_rule_and_composition_is_not() {
        let email = "night.shift@example.org";
        for password in [
            "a few words to remember",
            "夜班同事们一起喝茶聊天看日出啊",
            "               x",
            "'; DROP TABLE users; --",
            &(1..30).map(|n| format!("{n} words ")).collect::<String>(),
            "tr0ub4dor&3 staple",
        ] {
            assert_eq!(check(password, email, SHORTEST), Ok(()), "{password}");
        }
        for (password, flaw) in [
            ("", PasswordFlaw::Short { at_least: 15 }),
            ("fourteen chars", PasswordFlaw::Short { at_least: 15 }),
            ("十四个汉字也还是太短不能用", PasswordFlaw::Short { at_least: 15 }),
            (&*"x".repeat(1025), PasswordFlaw::Long),
            ("aaaaaaaaaaaaaaaaaaaa", PasswordFlaw::Guessable),
            ("abcabcabcabcabcabc", PasswordFlaw::Guessable),
            ("123456789012345678", PasswordFlaw::Guessable),
            ("zyxwvutsrqponmlkj", PasswordFlaw::Guessable),
            ("qwertyuiopasdfgh", PasswordFlaw::Guessable),
            ("Correct-Horse-Battery-Staple-1", PasswordFlaw::Guessable),
            ("Unstuck-Unstuck-2026", PasswordFlaw::Guessable),
            ("password00000000", PasswordFlaw::Guessable),
            ("night.shift@example.org", PasswordFlaw::Guessable),
        ] {
            assert_eq!(check(password, email, SHORTEST), Err(flaw), "{password}");
        }
    }

    #[test]
    fn a_hash_is_salted_and_matches_only_its_password() {
        let (one, two) = (
            hash_now("a few words to remember"),
            hash_now("a few words to remember"),
        );
        assert_ne!(one, two);
        assert!(
            !is_outdated(&one) && !is_outdated(NOBODY),
            "a login without an account takes as long as one with"
        );
        assert!(PasswordHash::new(NOBODY).is_ok());
        assert!(is_outdated("$argon2id$v=19$m=4096,t=1,p=1$c2FsdHNhbHQ$aGFzaA"));
        assert!(matches_now("a few words to remember", &one));
        assert!(!matches_now("a few words to remember ", &one));
        assert!(!matches_now("x", "not a hash"));
    }
}
