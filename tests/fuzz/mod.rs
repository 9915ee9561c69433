//! Input that nobody would send: no panic, no endless loop, no 500.
//!
//! Every target takes texts that are right or nearly right and damages them; what fails is told in its smallest form. `make fuzz` runs
//! the same targets for longer.

mod conditions;
mod depth;
mod parameters;
mod pgoutput;
mod server;

use std::env;
use std::fmt::Debug;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, RngSeed, TestCaseResult, TestRunner};

use crate::support::Random;

/// How many times more input than in a usual run.
const FACTOR: &str = "PLUE_FUZZ_FACTOR";

/// Of a usual run, times what the environment says.
pub fn times(usual: u32) -> u32 {
    let factor = env::var(FACTOR).map_or(1, |text| text.parse().expect("PLUE_FUZZ_FACTOR is a number"));
    usual.saturating_mul(factor)
}

/// Tries as many inputs as `usual` and the environment say. A failure prints the smallest input, and the seed.
fn fuzz<S: Strategy>(usual: u32, inputs: S, target: impl Fn(S::Value) -> TestCaseResult)
where
    S::Value: Debug,
{
    let seed = Random::seed();
    println!("PLUE_TEST_SEED={seed}");
    let config =
        Config { cases: times(usual), failure_persistence: None, rng_seed: RngSeed::Fixed(seed), ..Config::default() };
    if let Err(error) = TestRunner::new(config).run(&inputs, target) {
        panic!("PLUE_TEST_SEED={seed}: {error}");
    }
}

/// One way to damage bytes. Positions are taken modulo the length.
#[derive(Debug, Clone)]
enum Damage {
    Insert(usize, Vec<u8>),
    Remove(usize, usize),
    Replace(usize, u8),
    Repeat(usize, usize, usize),
    /// Goes on with another text from a place in it.
    Splice(usize, Vec<u8>, usize),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let end = bytes.len();
        let place = |at: usize| at % (end + 1);
        match self {
            Self::Insert(at, new) => {
                let at = place(*at);
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(*at);
                bytes.drain(at..end.min(at + length));
            }
            Self::Replace(at, byte) => {
                if let Some(old) = bytes.get_mut(at % end.max(1)) {
                    *old = *byte;
                }
            }
            Self::Repeat(at, length, times) => {
                let at = place(*at);
                let again = bytes[at..end.min(at + length)].repeat(*times);
                bytes.splice(at..at, again);
            }
            Self::Splice(at, other, from) => {
                bytes.truncate(place(*at));
                bytes.extend_from_slice(&other[from % (other.len() + 1)..]);
            }
        }
    }
}

/// One of the texts, damaged up to five times; or noise. `tokens` are inserted more often than noise.
fn damaged(texts: &[&[u8]], tokens: &[&[u8]]) -> impl Strategy<Value = Vec<u8>> + use<> {
    let owned = |list: &[&[u8]]| list.iter().map(|item| item.to_vec()).collect::<Vec<_>>();
    let (texts, tokens) = (owned(texts), owned(tokens));
    let at = || any::<prop::sample::Index>().prop_map(|index| index.index(1 << 16));
    let noise = || vec(any::<u8>(), 0..12);
    let damage = prop_oneof![
        4 => (at(), select(tokens)).prop_map(|(at, token)| Damage::Insert(at, token)),
        1 => (at(), noise()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        3 => (at(), 1_usize..8).prop_map(|(at, length)| Damage::Remove(at, length)),
        3 => (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Replace(at, byte)),
        1 => (at(), 1_usize..12, 2_usize..60).prop_map(|(at, length, times)| Damage::Repeat(at, length, times)),
        2 => (at(), select(texts.clone()), at()).prop_map(|(at, other, from)| Damage::Splice(at, other, from)),
    ];
    let damaged = (select(texts), vec(damage, 0..6)).prop_map(|(mut bytes, damages)| {
        damages.iter().for_each(|damage| damage.apply(&mut bytes));
        bytes
    });
    prop_oneof![20 => damaged, 1 => vec(any::<u8>(), 0..200)]
}

/// The same as text; what is not UTF-8 is replaced.
fn damaged_text(texts: &[&str], tokens: &[&str]) -> impl Strategy<Value = String> + use<> {
    let texts: Vec<&[u8]> = texts.iter().map(|text| text.as_bytes()).collect();
    let tokens: Vec<&[u8]> = tokens.iter().map(|text| text.as_bytes()).collect();
    damaged(&texts, &tokens).prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
