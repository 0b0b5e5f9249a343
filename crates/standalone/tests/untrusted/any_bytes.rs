//! Every reader of untrusted bytes, on seeded bytes. The fuzz targets in `fuzz/` run the same
//! checks on more of them.

#[path = "../../../../fuzz/targets.rs"]
mod targets;

use std::panic::{AssertUnwindSafe, catch_unwind};

use targets::{TARGETS, Target};

/// Inputs for each target: a second or two for all of them together, unoptimised.
const INPUTS: u64 = 1500;
/// Bytes of the longest input.
const LONGEST: usize = 2048;

/// An input: a seed of the target, damaged in a few places. `number` alone decides it.
fn input(target: &Target, number: u64) -> Vec<u8> {
    let mut chance = fastrand::Rng::with_seed(number);
    let seed = |chance: &mut fastrand::Rng| target.seeds[chance.usize(..target.seeds.len())];
    let mut bytes = match chance.u8(..8) {
        0 => std::iter::repeat_with(|| chance.u8(..)).take(64).collect(),
        _ => seed(&mut chance).to_vec(),
    };
    for _ in 0..chance.usize(..6) {
        let at = chance.usize(..=bytes.len());
        match chance.u8(..6) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, chance.u8(..)),
            2 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1 << chance.u8(..8);
                }
            }
            3 => drop(bytes.splice(at..at, seed(&mut chance).iter().copied())),
            4 => {
                let from = chance.usize(..=at);
                drop(bytes.drain(from..at));
            }
            _ => bytes.extend_from_within(at..),
        }
    }
    bytes.truncate(LONGEST);
    bytes
}

#[test]
fn readers_survive_any_bytes() {
    for target in &TARGETS {
        for seed in target.seeds {
            (target.run)(seed);
        }
        for number in 0..INPUTS {
            let bytes = input(target, number);
            let survives = catch_unwind(AssertUnwindSafe(|| (target.run)(&bytes)));
            assert!(survives.is_ok(), "{} fails on input {number}: {bytes:?}", target.name);
        }
    }
}
