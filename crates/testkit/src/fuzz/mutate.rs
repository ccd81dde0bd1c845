//! Makes inputs of seeds: some bytes or some JSON values are changed, most of it stays, so that what follows the first
//! check is reached too. The same random numbers make the same input.

use rand::Rng;
use rand::rngs::StdRng;
use serde_json::{Map, Value, json};

/// Texts that parsers have stumbled over.
const TEXTS: [&str; 22] = [
    "",
    " ",
    "\u{0}",
    "../../etc/passwd",
    "%2e%2e%2f",
    "javascript:alert(1)",
    "data:text/html,x",
    "http://[::1",
    "s3://",
    "https://user:secret@host/?token=x",
    "模型 🚀",
    "\u{202e}abc",
    "null",
    "- a\n- b: [",
    "---",
    "&a *a",
    "a_b_c",
    "_",
    "-",
    "9999999999999999999999",
    "2m",
    "group:default/x",
];
const NUMBERS: [f64; 6] = [0.0, -1.0, 1e308, -9.3e18, 1.8e19, 0.1];
/// No input is longer.
const LONGEST: usize = 256 << 10;

/// An input made of one of the seeds.
pub fn mutated(rng: &mut StdRng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let seed = &seeds[rng.random_range(0..seeds.len())];
    let mut input = match serde_json::from_slice::<Value>(seed) {
        Ok(mut value) if rng.random_bool(0.7) => {
            for _ in 0..rng.random_range(1..=4) {
                change(rng, &mut value, 0);
            }
            value.to_string().into_bytes()
        }
        _ => seed.clone(),
    };
    if rng.random_bool(0.4) {
        for _ in 0..rng.random_range(1..=6) {
            change_bytes(rng, &mut input, seeds);
        }
    }
    input.truncate(LONGEST);
    input
}

/// A value of the same seeds, changed in a few places.
pub fn mutated_value(rng: &mut StdRng, seed: &Value) -> Value {
    let mut value = seed.clone();
    for _ in 0..rng.random_range(1..=6) {
        change(rng, &mut value, 0);
    }
    value
}

/// Walks to a random place and changes it.
fn change(rng: &mut StdRng, value: &mut Value, depth: usize) {
    let go_on = depth < 12 && rng.random_bool(0.85);
    match value {
        Value::Object(fields) if go_on && !fields.is_empty() => {
            let at = rng.random_range(0..fields.len());
            match rng.random_range(0..12) {
                0 => drop(fields.remove(&key_at(fields, at))),
                1 => {
                    let (key, copy) = (key_at(fields, at), fields.values().nth(at).cloned().unwrap_or_default());
                    fields.insert(format!("{key}{}", text(rng)), copy);
                }
                _ => fields.values_mut().nth(at).into_iter().for_each(|inner| change(rng, inner, depth + 1)),
            }
        }
        Value::Array(items) if go_on && !items.is_empty() => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..12) {
                0 => drop(items.remove(at)),
                1 => items.push(items[at].clone()),
                _ => change(rng, &mut items[at], depth + 1),
            }
        }
        other => *other = any_value(rng, other),
    }
}

fn key_at(fields: &Map<String, Value>, at: usize) -> String {
    fields.keys().nth(at).cloned().unwrap_or_default()
}

fn any_value(rng: &mut StdRng, former: &Value) -> Value {
    match rng.random_range(0..9) {
        0 => Value::Null,
        1 => json!(rng.random_bool(0.5)),
        2 => json!(NUMBERS[rng.random_range(0..NUMBERS.len())]),
        3 => json!(rng.random::<i64>()),
        4 => json!([former, text(rng)]),
        5 => json!({ text(rng): former }),
        6 => (0..rng.random_range(1..100)).fold(former.clone(), |inner, _| json!([inner])),
        7 => json!(text(rng).repeat(rng.random_range(1..300))),
        _ => match former {
            Value::String(text) => json!(format!("{text}{}", self::text(rng))),
            _ => json!(text(rng)),
        },
    }
}

fn text(rng: &mut StdRng) -> &'static str {
    TEXTS[rng.random_range(0..TEXTS.len())]
}

fn change_bytes(rng: &mut StdRng, input: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = rng.random_range(0..=input.len());
    let end = (at + rng.random_range(0..64)).min(input.len());
    match rng.random_range(0..6) {
        0 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
        1 if at < input.len() => input[at] = rng.random(),
        2 => drop(input.drain(at..end)),
        3 => {
            let copy = input[at..end].to_vec();
            input.splice(at..at, copy);
        }
        4 => {
            let other = &seeds[rng.random_range(0..seeds.len())];
            input.truncate(at);
            input.extend_from_slice(&other[rng.random_range(0..=other.len())..]);
        }
        _ => drop(input.splice(at..at, text(rng).bytes())),
    }
}
