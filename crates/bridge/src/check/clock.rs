//! Clocks: tokens and certificates are judged by them, so those of the peers should be about right. Each peer tells its
//! time with whatever it answers.

use std::time::{Duration, SystemTime};

use cluster::probe::server_version;
use futures::future::join_all;
use reqwest::Client;
use service::http_client;
use url::Url;

use super::Bench;
use super::report::Finding;

/// From here on it is worth a look.
const WORTH_A_LOOK: Duration = Duration::from_secs(30);
/// From here on tokens are refused.
const TOO_MUCH: Duration = Duration::from_mins(5);

/// The clocks of all peers that answer.
pub(super) async fn examine(bench: &Bench<'_>) -> Vec<Finding> {
    let (peers, cluster) = tokio::join!(
        join_all(peers(bench).into_iter().map(|(name, url)| async move {
            let date = tokio::time::timeout(bench.deadline, date(&url)).await.ok().flatten()?;
            Some((name, date, SystemTime::now()))
        })),
        async {
            let cluster = bench.cluster?;
            let answer = tokio::time::timeout(bench.deadline, server_version(&cluster.client)).await.ok()?.ok()?;
            Some(("API server".to_owned(), answer.date?, SystemTime::now()))
        },
    );
    let findings = std::iter::once(cluster).chain(peers).flatten();
    findings.filter_map(|(name, date, now)| Some(judge(name, httpdate::parse_http_date(&date).ok()?, now))).collect()
}

fn peers(bench: &Bench<'_>) -> Vec<(String, Url)> {
    let settings = bench.settings;
    let registries = settings.normalizer.mr_url.0.iter().map(|named| (named.name.clone(), named.url.clone()));
    let backstage = settings.storage.backstage.access.bkstg_url.iter().map(|url| ("Backstage".to_owned(), url.clone()));
    registries.chain(backstage).collect()
}

/// No token is sent, and whatever status comes has a date.
async fn date(url: &Url) -> Option<String> {
    http_client::install_crypto_provider();
    let client = Client::builder().tls_danger_accept_invalid_certs(true).build().ok()?;
    let answer = client.head(url.clone()).send().await.ok()?;
    Some(answer.headers().get(http::header::DATE)?.to_str().ok()?.to_owned())
}

fn judge(name: String, theirs: SystemTime, ours: SystemTime) -> Finding {
    let (by, word) = match theirs.duration_since(ours) {
        Ok(ahead) => (ahead, "ahead of"),
        Err(behind) => (behind.duration(), "behind"),
    };
    let seconds = by.as_secs();
    let message = format!("it is {seconds} s {word} this machine");
    let advice = "synchronise both with NTP: tokens and certificates are judged by these clocks";
    match by {
        by if by >= TOO_MUCH => Finding::failure(name, message, advice),
        by if by >= WORTH_A_LOOK => Finding::warning(name, message, advice),
        _ => Finding::ok(name, "it agrees with this machine"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::Level;
    use super::*;

    #[test]
    fn a_clock_may_be_a_little_off_but_not_by_minutes() {
        let now = SystemTime::now();
        let level = |theirs| judge("a".to_owned(), theirs, now).level;
        assert_eq!(level(now), Level::Ok);
        assert_eq!(level(now - Duration::from_mins(1)), Level::Warning);
        assert_eq!(level(now + Duration::from_mins(10)), Level::Failure);
    }
}
