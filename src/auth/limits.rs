//! How many requests a principal and an address may make, and how many failed logins an address has before it must wait.
//!
//! Each is counted by a bucket that holds `burst` requests and fills at a rate. The buckets are of this process alone and are
//! forgotten with it. No lock is held for longer than one shard of the keys takes to be swept, whatever addresses there are.

mod buckets;

#[cfg(test)]
mod tests;

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::NoOpMiddleware;
use governor::{Quota, RateLimiter};

use self::buckets::{Asked, Buckets};

/// Keys of one kind that are counted apart; 17 bytes each, in a table with room for as many again. Those that come when there are so many
/// are counted together, so that who floods us with addresses can neither fill the memory nor go uncounted.
pub const MOST_KEYS: usize = 200_000;

/// How often something may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// In the long run. 0: there is no limit.
    pub per_second: u32,
    /// At once, after a pause. 0 counts as 1.
    pub burst: u32,
}

/// Not yet: after this time it may be tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait(pub Duration);

impl Wait {
    /// For the header `retry-after`: whole seconds, at least 1.
    pub fn retry_after(self) -> u64 {
        let started = u64::from(self.0.subsec_nanos() > 0);
        self.0.as_secs().saturating_add(started).max(1)
    }
}

/// The limits of a process. One of it is shared by all workers.
#[derive(Debug)]
pub struct Limits<C: Clock = MonotonicClock> {
    principals: Option<Limit<C>>,
    addresses: Option<Limit<C>>,
    failures: Option<Limit<C>>,
    /// Nobody outside can choose names or addresses that share a bucket.
    hasher: RandomState,
}

impl Limits {
    /// `principals` is the rate of each principal, `addresses` that of each address, and `failures_per_minute` how many logins may fail in
    /// a minute from one address; of that, 0 is no limit.
    pub fn new(principals: Rate, addresses: Rate, failures_per_minute: u32) -> Self {
        Self::with(principals, addresses, failures_per_minute, &MonotonicClock, MOST_KEYS)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with(principals: Rate, addresses: Rate, failures_per_minute: u32, clock: &C, most_keys: usize) -> Self {
        let of = |rate: Rate| {
            let per_second = NonZeroU32::new(rate.per_second)?;
            let burst = NonZeroU32::new(rate.burst).unwrap_or(NonZeroU32::MIN);
            Some(Limit::new(Quota::per_second(per_second).allow_burst(burst), clock.clone(), most_keys))
        };
        let failures = NonZeroU32::new(failures_per_minute);
        let failures = failures.map(|count| Limit::new(Quota::per_minute(count), clock.clone(), most_keys));
        Self { principals: of(principals), addresses: of(addresses), failures, hasher: RandomState::new() }
    }

    /// Counts one request of an address.
    ///
    /// # Errors
    /// It has made too many. A refused request is not counted.
    pub fn address(&self, address: IpAddr) -> Result<(), Wait> {
        self.addresses.as_ref().map_or(Ok(()), |limit| limit.take(self.key(network(address))))
    }

    /// Counts one request of a principal.
    ///
    /// # Errors
    /// It has made too many. A refused request is not counted.
    pub fn principal(&self, name: &str) -> Result<(), Wait> {
        self.principals.as_ref().map_or(Ok(()), |limit| limit.take(self.key(name)))
    }

    /// Whether a token of this address that is not known to be valid may be looked at. Counts nothing: [`Limits::failed`] does. Those that are
    /// looked at at the same time may be a few more than are left.
    ///
    /// # Errors
    /// Too many have failed.
    pub fn may_try(&self, address: IpAddr) -> Result<(), Wait> {
        self.failures.as_ref().map_or(Ok(()), |limit| limit.look(self.key(network(address))))
    }

    /// Counts a failed login of an address.
    pub fn failed(&self, address: IpAddr) {
        if let Some(limit) = &self.failures {
            // If none was left there is nothing more to take.
            let _ = limit.take(self.key(network(address)));
        }
    }

    /// How many buckets are kept, of all kinds: for operators.
    pub fn keys(&self) -> usize {
        let limits = [&self.principals, &self.addresses, &self.failures];
        limits.into_iter().flatten().map(|limit| limit.buckets.len()).sum()
    }

    fn key(&self, of: impl Hash) -> u64 {
        self.hasher.hash_one(of)
    }
}

/// What counts as one address: an IPv4 address, also where it is written as IPv6, or the /64 that a subscriber of IPv6 has at least.
fn network(address: IpAddr) -> (bool, u64) {
    match address.to_canonical() {
        IpAddr::V4(address) => (false, u64::from(address.to_bits())),
        IpAddr::V6(address) => (true, (address.to_bits() >> 64) as u64),
    }
}

/// One rate, for every key of a kind.
#[derive(Debug)]
struct Limit<C: Clock> {
    limiter: RateLimiter<Asked, Buckets, C, NoOpMiddleware<C::Instant>>,
    buckets: Buckets,
}

impl<C: Clock> Limit<C> {
    fn new(quota: Quota, clock: C, most_keys: usize) -> Self {
        let buckets = Buckets::new(quota, most_keys);
        Self { limiter: RateLimiter::new(quota, buckets.clone(), clock), buckets }
    }

    fn take(&self, key: u64) -> Result<(), Wait> {
        self.check(Asked { key, takes: true })
    }

    fn look(&self, key: u64) -> Result<(), Wait> {
        self.check(Asked { key, takes: false })
    }

    fn check(&self, asked: Asked) -> Result<(), Wait> {
        self.limiter.check_key(&asked).map_err(|until| Wait(until.wait_time_from(self.limiter.clock().now())))
    }
}
