//! Polls one registry.

use std::time::Duration;

use rand::Rng as _;
use service::Shutdown;

use super::Board;
use super::reader::RegistryReader;
use crate::inventory::SourceId;
use crate::metrics::SourceMetrics;

/// The first pause after a failure; it doubles up to the polling interval.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// How often a registry is read.
#[derive(Debug, Clone, Copy)]
pub struct Cadence {
    /// From the end of a read to the next one (`POLLING_INTERVAL`).
    pub polling: Duration,
}

/// Reads a registry again and again, until `shutdown`.
pub async fn poll(
    id: SourceId,
    reader: RegistryReader,
    cadence: Cadence,
    board: Board,
    metrics: SourceMetrics,
    shutdown: Shutdown,
) {
    let mut failures: u32 = 0;
    loop {
        let previous = board.registry(&id);
        let Some(read) = shutdown.unless(reader.read_all(previous.as_deref())).await else { return };
        let pause = match read {
            Ok(contents) => {
                if failures > 0 || previous.is_none() {
                    let (models, versions) = (contents.models.len(), contents.versions.len());
                    tracing::info!(source = %id, models, versions, "the registry at {} was read", reader.client.base_url());
                }
                failures = 0;
                metrics.read(&id, contents.versions.len());
                board.registry_read(&id, contents);
                cadence.polling
            }
            Err(error) => {
                let text = error.to_string();
                metrics.failed(&id);
                if board.registry_failed(&id, &text) {
                    tracing::warn!(source = %id, "{text}; its entries stay as they are");
                }
                failures = failures.saturating_add(1);
                error.retry_after().unwrap_or_default().max(backoff(failures, cadence.polling))
            }
        };
        if shutdown.unless(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

/// One second, doubled with each failure in a row, never longer than `longest`, and shortened by up to a quarter so
/// that several bridges do not ask in step.
fn backoff(failures: u32, longest: Duration) -> Duration {
    let doubled = FIRST_RETRY.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1).min(16)));
    doubled.min(longest).mul_f64(rand::rng().random_range(0.75..=1.0))
}
