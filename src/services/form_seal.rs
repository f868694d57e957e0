//! The seal on a form that strangers fill in: says when the form was handed out, and which one it is. It is a hidden
//! field, so it works without scripts and without a cookie.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::time::Time;

/// Nobody describes a problem faster than that; programs do.
const FASTEST: Duration = Duration::from_secs(3);
/// A form that lay open longer is handed out anew, with its texts.
const OLDEST: Duration = Duration::from_secs(24 * 3600);
/// Clocks of several servers differ by less than that.
const SKEW: Duration = Duration::from_secs(60);

const NONCE_BYTES: usize = 16;
const MAC_BYTES: usize = 16;

/// Why a form is not taken as it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealFault {
    #[error("the form was sent within seconds of being opened")]
    TooFast,
    /// Too old, of another installation, or made up.
    #[error("the form is no longer valid")]
    Stale,
}

/// A form that was handed out by us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// New for each form: what makes the same form sent twice one report.
    pub nonce: [u8; NONCE_BYTES],
    pub issued_at: Time,
}

/// Seals and opens forms. Every process of an installation has the same secret.
#[derive(Clone)]
pub struct FormSeal {
    secret: Vec<u8>,
}

impl FormSeal {
    pub fn new(secret: &str) -> Self {
        Self {
            secret: secret.as_bytes().to_vec(),
        }
    }

    /// A new seal: URL-safe text of about 54 characters.
    pub fn issue(&self, now: Time) -> String {
        let mut bytes = Vec::with_capacity(8 + NONCE_BYTES + MAC_BYTES);
        bytes.extend_from_slice(&now.ms().to_be_bytes());
        bytes.extend_from_slice(&rand::random::<[u8; NONCE_BYTES]>());
        let mac = self.mac(&bytes).finalize().into_bytes();
        bytes.extend_from_slice(&mac[..MAC_BYTES]);
        BASE64_URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Opens a seal that came back at `now`.
    pub fn open(&self, text: &str, now: Time) -> Result<Sealed, SealFault> {
        let bytes = BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| SealFault::Stale)?;
        let Some((body, mac)) = bytes.split_last_chunk::<MAC_BYTES>() else {
            return Err(SealFault::Stale);
        };
        self.mac(body)
            .verify_truncated_left(mac)
            .map_err(|_| SealFault::Stale)?;
        let Some((at, rest)) = body.split_first_chunk::<8>() else {
            return Err(SealFault::Stale);
        };
        let nonce = rest.try_into().map_err(|_| SealFault::Stale)?;
        let issued_at = Time::from_ms(i64::from_be_bytes(*at));
        if issued_at > now + SKEW || issued_at + OLDEST < now {
            return Err(SealFault::Stale);
        }
        if now.ms_since(issued_at) < i64::try_from(FASTEST.as_millis()).unwrap_or(i64::MAX) {
            return Err(SealFault::TooFast);
        }
        Ok(Sealed { nonce, issued_at })
    }

    fn mac(&self, bytes: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes keys of every length");
        mac.update(b"report form ");
        mac.update(bytes);
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Time = Time::from_ms(1_767_225_600_000);

    #[test]
    fn a_form_is_taken_after_seconds_and_within_a_day() {
        let seal = FormSeal::new("secret");
        let text = seal.issue(NOW);
        for (after_ms, is) in [
            (-70_000, Some(SealFault::Stale)),
            (0, Some(SealFault::TooFast)),
            (2_999, Some(SealFault::TooFast)),
            (3_000, None),
            (86_400_000, None),
            (86_400_001, Some(SealFault::Stale)),
        ] {
            let at = Time::from_ms(NOW.ms() + after_ms);
            assert_eq!(seal.open(&text, at).err(), is, "after {after_ms} ms");
        }
    }

    #[test]
    fn a_seal_that_is_not_ours_is_stale() {
        let seal = FormSeal::new("secret");
        let later = NOW + Duration::from_secs(10);
        let ours = seal.issue(NOW);
        let mut changed = BASE64_URL_SAFE_NO_PAD.decode(&ours).expect("base64");
        changed[7] ^= 1;
        let changed = BASE64_URL_SAFE_NO_PAD.encode(changed);
        let other = FormSeal::new("other").issue(NOW);
        for text in ["", "x", "%%%", changed.as_str(), other.as_str(), &ours[1..]] {
            assert_eq!(seal.open(text, later), Err(SealFault::Stale), "{text}");
        }
    }

    #[test]
    fn two_forms_are_never_the_same() {
        let seal = FormSeal::new("secret");
        let later = NOW + Duration::from_secs(10);
        let [one, other] =
            [seal.issue(NOW), seal.issue(NOW)].map(|text| seal.open(&text, later).expect("ours"));
        assert_ne!(one.nonce, other.nonce);
    }
}
