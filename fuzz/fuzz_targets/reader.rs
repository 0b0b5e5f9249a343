//! Feeds bytes to the target that `CLINICWIRE_FUZZ_TARGET` names. One program for all of them,
//! because each would take as long to build.

#![no_main]

#[path = "../targets.rs"]
mod targets;

use std::{env, fs, path::Path, sync::LazyLock};

use targets::{TARGETS, Target};

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let all: &'static [Target] = &TARGETS;
    let name = env::var("CLINICWIRE_FUZZ_TARGET").unwrap_or_default();
    let named = all.iter().find(|target| target.name == name);
    named.expect("CLINICWIRE_FUZZ_TARGET names a target of fuzz/targets.rs")
});

/// Adds the seeds of the target to its corpus, the folder on the command line. libFuzzer calls this
/// before it reads the corpus.
fn add_seeds() {
    let corpus = env::args().skip(1).find(|argument| Path::new(argument).is_dir());
    let Some(corpus) = corpus else { return };
    for (number, seed) in TARGET.seeds.iter().enumerate() {
        fs::write(Path::new(&corpus).join(format!("seed-{number}")), seed)
            .expect("the corpus can be written");
    }
}

libfuzzer_sys::fuzz_target!(init: add_seeds(), |data: &[u8]| (TARGET.run)(data));
