//! What comes from outside, changed at random: no parser may panic, and what is taken keeps the rules. Each test makes
//! `FUZZ_INPUTS` inputs (1,000 by default; `make fuzz` makes a million in all) from `FUZZ_SEED` and its own name, so that
//! a failure can be had again.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that is set up wrongly should stop at once")]

mod mutate;
mod parsers;
mod projection;
#[allow(dead_code, unreachable_pub, reason = "shared with the projection's own tests")]
#[path = "../../../crates/normalizer/tests/projection/support.rs"]
mod support;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

use rand::SeedableRng;
use rand::rngs::StdRng;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Has `check` look at many inputs, and says which one it panicked on.
pub(crate) fn fuzz<T: AsRef<[u8]>>(name: &str, make: impl Fn(&mut StdRng) -> T, check: impl Fn(&T)) {
    let (inputs, seed) = (setting("FUZZ_INPUTS", 1_000), setting("FUZZ_SEED", 1));
    for number in 0..inputs {
        let mut hasher = DefaultHasher::new();
        (name, seed, number).hash(&mut hasher);
        let input = make(&mut StdRng::seed_from_u64(hasher.finish()));
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            let file = std::env::temp_dir().join(format!("fuzz-{name}-{seed}-{number}"));
            std::fs::write(&file, input.as_ref()).unwrap();
            panic!("{name} failed on input {number} of FUZZ_SEED={seed}, which is kept in {}", file.display());
        }
    }
    eprintln!("{name}: {inputs} inputs of seed {seed}");
}
