//! The buckets of one kind of key: never more than a number of them, and those that are full again are dropped.
//!
//! A bucket is the moment at which it is full again. One that is full says what no bucket says, so it can go.

use std::sync::Arc;
use std::time::Duration;

use governor::Quota;
use governor::nanos::Nanos;
use governor::state::StateStore;
use hashbrown::HashMap;
use parking_lot::Mutex;

/// Each has a lock of its own, which is held for one lookup or one sweep: with 200,000 keys a sweep sees 3,125.
const SHARDS: usize = 64;
/// A shard with fewer keys is not swept.
const FEW: usize = 64;
/// A shard is swept once in this time at most, however many new keys come.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Which bucket is asked for, and whether something is taken from it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Asked {
    /// Evenly distributed: a hash.
    pub key: u64,
    pub takes: bool,
}

/// Clones are the same buckets.
#[derive(Debug, Clone)]
pub struct Buckets {
    shards: Arc<[Mutex<Shard>]>,
    /// Keys in one shard.
    most: usize,
    /// What one request takes: the time in which a bucket gets it back.
    interval: Nanos,
}

#[derive(Debug, Default)]
struct Shard {
    full_at: HashMap<u64, Nanos, foldhash::fast::RandomState>,
    /// The one bucket of all keys that find no place.
    others: Option<Nanos>,
    swept: Nanos,
    /// So many keys are worth a sweep.
    many: usize,
}

impl Buckets {
    /// At most `most_keys`, or a few more where that cannot be divided evenly.
    pub fn new(quota: Quota, most_keys: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard { many: FEW, ..Shard::default() })).collect();
        let interval = quota.replenish_interval().max(Duration::from_nanos(1));
        Self { shards, most: most_keys.div_ceil(SHARDS), interval: interval.into() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.len()).sum()
    }

    #[cfg(test)]
    pub fn capacity(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().full_at.capacity()).sum()
    }
}

impl StateStore for Buckets {
    type Key = Asked;

    /// `measure` tells of a bucket whether something can be taken from it now, and when it is full after that.
    fn measure_and_replace<T, F, E>(&self, asked: &Asked, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut shard = self.shards[asked.key as usize % SHARDS].lock();
        if let Some(bucket) = shard.full_at.get_mut(&asked.key) {
            let (answer, full_at) = measure(Some(*bucket))?;
            if asked.takes {
                *bucket = full_at;
            }
            return Ok(answer);
        }
        let (answer, full_at) = measure(None)?;
        if asked.takes {
            // A full bucket from which one request was taken now.
            shard.sweep(full_at.saturating_sub(self.interval), self.most);
        }
        if shard.full_at.len() < self.most {
            if asked.takes {
                shard.full_at.insert(asked.key, full_at);
            }
            return Ok(answer);
        }
        let (answer, full_at) = measure(shard.others)?;
        if asked.takes {
            shard.others = Some(full_at);
        }
        Ok(answer)
    }
}

impl Shard {
    /// Drops the buckets that are full, if there are many and none were dropped a moment ago. The next time, there must be twice as many as are left.
    fn sweep(&mut self, now: Nanos, most: usize) {
        if self.full_at.len() < self.many.min(most) || now.saturating_sub(self.swept) < SWEEP_EVERY.into() {
            return;
        }
        self.full_at.retain(|_, full_at| *full_at > now);
        self.many = (self.full_at.len() * 2).max(FEW);
        self.full_at.shrink_to(self.many);
        self.swept = now;
    }
}
