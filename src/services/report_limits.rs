//! How much strangers may file: per caller, and all together. Counted in this process's memory.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use governor::{
    DefaultDirectRateLimiter, DefaultKeyedRateLimiter, NotUntil, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};

/// Who sends.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Somebody at a browser: an IPv4 address, or the /64 of an IPv6 address.
    Address(IpAddr),
    /// A program, by its token's id.
    Token(String),
}

/// One kind of sending: so many at once, then one more each so often.
#[derive(Clone, Copy, Debug)]
pub struct Rate {
    pub burst: u32,
    pub one_every: Duration,
}

impl Rate {
    fn quota(self) -> Quota {
        let burst = NonZeroU32::new(self.burst).unwrap_or(NonZeroU32::MIN);
        match Quota::with_period(self.one_every) {
            Some(quota) => quota.allow_burst(burst),
            None => Quota::per_second(NonZeroU32::MAX),
        }
    }
}

/// The rates. The defaults leave an honest caller far from each.
#[derive(Clone, Copy, Debug)]
pub struct Rates {
    /// Reports and messages of one address.
    pub address: Rate,
    /// Those of one token.
    pub token: Rate,
    /// Those of all callers.
    pub total: Rate,
    /// What one caller may upload, in KiB: 100 MB at once, and a further 100 MB in a day.
    pub upload_kib: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            address: Rate {
                burst: 10,
                one_every: Duration::from_secs(60),
            },
            token: Rate {
                burst: 60,
                one_every: Duration::from_secs(2),
            },
            total: Rate {
                burst: 120,
                one_every: Duration::from_secs(5),
            },
            upload_kib: Rate {
                burst: 102_400,
                one_every: Duration::from_millis(843),
            },
        }
    }
}

/// Refused for now. `retry_after` is when the next one would be let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many reports; try again in {} s", retry_after.as_secs().max(1))]
pub struct TooMany {
    pub retry_after: Duration,
}

pub struct ReportLimits {
    clock: DefaultClock,
    addresses: DefaultKeyedRateLimiter<Caller>,
    tokens: DefaultKeyedRateLimiter<Caller>,
    total: DefaultDirectRateLimiter,
    uploads_kib: DefaultKeyedRateLimiter<Caller>,
}

impl ReportLimits {
    pub fn new(rates: Rates) -> Self {
        Self {
            clock: DefaultClock::default(),
            addresses: RateLimiter::keyed(rates.address.quota()),
            tokens: RateLimiter::keyed(rates.token.quota()),
            total: RateLimiter::direct(rates.total.quota()),
            uploads_kib: RateLimiter::keyed(rates.upload_kib.quota()),
        }
    }

    /// Counts one report or message of `caller`. Errors: the caller's own limit, then everybody's.
    pub fn admit(&self, caller: &Caller) -> Result<(), TooMany> {
        let own = match caller {
            Caller::Address(_) => &self.addresses,
            Caller::Token(_) => &self.tokens,
        };
        own.check_key(caller).map_err(|until| self.too_many(&until))?;
        self.total.check().map_err(|until| self.too_many(&until))
    }

    /// Counts `bytes` that `caller` uploads, in whole KiB. Errors: the caller's quota.
    pub fn admit_upload(&self, caller: &Caller, bytes: usize) -> Result<(), TooMany> {
        let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let Some(kib) = NonZeroU32::new(kib) else {
            return Ok(());
        };
        match self.uploads_kib.check_key_n(caller, kib) {
            Ok(answer) => answer.map_err(|until| self.too_many(&until)),
            Err(_) => Err(TooMany {
                retry_after: Duration::from_secs(3600),
            }),
        }
    }

    /// Forgets callers that have not been heard of for a while, so that they take no memory.
    pub fn forget_idle(&self) {
        self.addresses.retain_recent();
        self.tokens.retain_recent();
        self.uploads_kib.retain_recent();
    }

    fn too_many(&self, until: &NotUntil<<DefaultClock as Clock>::Instant>) -> TooMany {
        TooMany {
            retry_after: until.wait_time_from(self.clock.now()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(text: &str) -> Caller {
        Caller::Address(text.parse().expect("an address"))
    }

    fn limits(address: u32, total: u32, upload_kib: u32) -> ReportLimits {
        let hourly = |burst| Rate {
            burst,
            one_every: Duration::from_secs(3600),
        };
        ReportLimits::new(Rates {
            address: hourly(address),
            token: hourly(1),
            total: hourly(total),
            upload_kib: hourly(upload_kib),
        })
    }

    #[test]
    fn one_caller_s_limit_leaves_the_others_alone() {
        let limits = limits(2, 100, 1);
        assert_eq!(
            [1, 2, 3].map(|_| limits.admit(&caller("1.1.1.1")).is_ok()),
            [true, true, false]
        );
        assert!(limits.admit(&caller("2.2.2.2")).is_ok());
        let refused = limits.admit(&caller("1.1.1.1")).expect_err("over the limit");
        assert!(refused.retry_after > Duration::from_secs(3500), "{refused:?}");
    }

    #[test]
    fn many_callers_together_have_a_limit_too() {
        let limits = limits(2, 3, 1);
        let let_through = (1..=5)
            .filter(|host| limits.admit(&caller(&format!("10.0.0.{host}"))).is_ok())
            .count();
        assert_eq!(let_through, 3);
    }

    #[test]
    fn uploads_are_counted_in_bytes() {
        let limits = limits(9, 9, 3);
        let caller = caller("1.1.1.1");
        assert!(limits.admit_upload(&caller, 0).is_ok());
        assert!(limits.admit_upload(&caller, 2048).is_ok());
        assert!(limits.admit_upload(&caller, 1025).is_err());
        assert!(limits.admit_upload(&caller, 1).is_ok());
        assert!(limits.admit_upload(&caller, 100 * 1024).is_err());
    }
}
