//! Waiting in tests: poll a condition until it holds or a deadline passes, and say what was seen last.

use std::fmt::Debug;
use std::net::TcpListener;
use std::time::Duration;

use tokio::time::Instant;

const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// What a polled condition may answer: `bool`, `Option<T>` or `Result<T, E>`.
pub trait Observation {
    /// What is handed back once the condition holds.
    type Value;

    /// The value when the condition holds, else a description of what was seen.
    fn outcome(self) -> Result<Self::Value, String>;
}

impl Observation for bool {
    type Value = ();

    fn outcome(self) -> Result<(), String> {
        if self { Ok(()) } else { Err("false".to_owned()) }
    }
}

impl<T> Observation for Option<T> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.ok_or_else(|| "None".to_owned())
    }
}

impl<T, E: Debug> Observation for Result<T, E> {
    type Value = T;

    fn outcome(self) -> Result<T, String> {
        self.map_err(|observed| format!("{observed:?}"))
    }
}

/// Polls `condition` until it holds and returns its value.
///
/// # Panics
/// When `deadline` passes first; the message holds `what` and the last observation.
pub async fn eventually<F, O>(deadline: Duration, what: &str, mut condition: F) -> O::Value
where
    F: AsyncFnMut() -> O,
    O: Observation,
{
    let end = Instant::now() + deadline;
    let mut last = "the condition never answered".to_owned();
    let mut pause = FIRST_PAUSE;
    loop {
        let Ok(observation) = tokio::time::timeout_at(end, condition()).await else {
            panic!("not within {deadline:?}: {what}; last observation: {last}");
        };
        match observation.outcome() {
            Ok(value) => return value,
            Err(seen) => last = seen,
        }
        assert!(Instant::now() + pause < end, "not within {deadline:?}: {what}; last observation: {last}");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// A TCP port of the loopback interface that nobody listened on a moment ago.
///
/// # Panics
/// When the machine has no free port.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr()).expect("a free loopback port").port()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_condition_is_polled_until_it_holds() {
        let mut polls = 0;
        let seen = eventually(Duration::from_secs(10), "three polls", async || {
            polls += 1;
            if polls == 3 { Ok(polls) } else { Err(polls) }
        })
        .await;
        assert_eq!(seen, 3);
    }

    #[tokio::test]
    #[should_panic(expected = "the moon is blue; last observation: \"grey\"")]
    async fn a_deadline_tells_what_was_seen_last() {
        let never = async || Err::<(), _>("grey");
        eventually(Duration::from_millis(20), "the moon is blue", never).await;
    }

    #[tokio::test]
    #[should_panic(expected = "an answer; last observation: the condition never answered")]
    async fn a_condition_that_hangs_is_given_up() {
        let hangs = async || std::future::pending::<bool>().await;
        eventually(Duration::from_millis(20), "an answer", hangs).await;
    }
}
