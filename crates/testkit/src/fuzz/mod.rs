//! What comes from outside, changed at random, for the tests of parsers. Each such test makes `FUZZ_INPUTS` inputs (1,000
//! by default; `make fuzz` makes a million in all) from `FUZZ_SEED` and its own name, so that a failure can be had again.

mod mutate;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use mutate::{mutated, mutated_value};
use rand::SeedableRng;
pub use rand::rngs::StdRng;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Has `check` look at many inputs, and says which one it panicked on.
pub fn fuzz<T: AsRef<[u8]>>(name: &str, make: impl Fn(&mut StdRng) -> T, check: impl Fn(&T)) {
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

/// The same over `seeds`, in which bytes and JSON values are changed.
pub fn fuzz_seeds(name: &str, seeds: &[&[u8]], check: impl Fn(&[u8])) {
    let seeds: Vec<Vec<u8>> = seeds.iter().map(|seed| seed.to_vec()).collect();
    fuzz(name, |rng| mutated(rng, &seeds), |input| check(input));
}
