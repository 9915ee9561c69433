//! Choices that a seed repeats.

use std::env;
use std::time::{SystemTime, UNIX_EPOCH};

/// Set to a seed that a failure printed.
const SEED: &str = "PLUE_TEST_SEED";

/// SplitMix64: small, and the same on every machine.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The seed that the environment names, or a new one.
    pub fn seed() -> u64 {
        match env::var(SEED) {
            Ok(seed) => seed.parse().expect("PLUE_TEST_SEED is a number"),
            Err(_) => SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_nanos() as u64,
        }
    }

    /// The choices of one actor; those of another `stream` are independent.
    pub fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed);
        random.0 = random.next() ^ stream.wrapping_mul(0xD134_2543_DE82_EF95);
        random
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `limit` times.
    pub fn one_in(&mut self, limit: usize) -> bool {
        self.below(limit) == 0
    }

    /// One of a list.
    pub fn pick<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }
}
