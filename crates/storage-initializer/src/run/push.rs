//! The metrics of a run, pushed: an init container is gone before anybody could ask it.

use prometheus_client::metrics::gauge::Gauge;
use service::Metrics;
use service::http_client::{TlsSettings, client};
use url::Url;

use crate::settings::MetricsSettings;
use crate::summary::{Ending, Report};

/// Pushgateways read this format; what is written has nothing in it that OpenMetrics has and this has not.
const TEXT: &str = "text/plain; version=0.0.4";

/// Sends them, where they go anywhere. That they cannot be sent is no reason to fail.
pub(super) async fn metrics(settings: &MetricsSettings, report: &Report, ending: &Ending) {
    let Some(base) = &settings.metrics_push_url else { return };
    let url = grouped(base.clone(), std::env::var("HOSTNAME").ok().as_deref());
    let tls = TlsSettings { ca_file: settings.metrics_push_ca.clone(), ..TlsSettings::default() };
    let client = match client(&tls, "the Pushgateway") {
        Ok(client) => client,
        Err(error) => return tracing::warn!("no metrics are sent: {error}"),
    };
    let sent = client.put(url).header("content-type", TEXT).body(text(report, ending)).send().await;
    if let Err(error) = sent.and_then(reqwest::Response::error_for_status) {
        tracing::warn!("metrics cannot be sent to the Pushgateway: {}", error.without_url());
    }
}

/// One group of metrics a pod.
fn grouped(mut url: Url, instance: Option<&str>) -> Url {
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["metrics", "job", "storage-initializer"]);
        if let Some(instance) = instance.filter(|instance| !instance.is_empty()) {
            path.extend(["instance", instance]);
        }
    }
    url
}

fn text(report: &Report, ending: &Ending) -> String {
    let metrics = Metrics::new("storage_initializer");
    let gauge = |name: &str, help: &str, value: i64| {
        metrics.register(name, help, Gauge::<i64>::default()).set(value);
    };
    let counts = report.counts();
    let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    gauge("exit_code", "How the last run ended: 0 is well", i64::from(ending.code()));
    gauge("files", "Files that the last run put in place", whole(counts.files_done));
    gauge("received_bytes", "Bytes that the last run fetched", whole(counts.bytes_done));
    gauge("kept_bytes", "Bytes that an earlier run had fetched", whole(counts.bytes_kept));
    let milliseconds = u64::try_from(report.elapsed().as_millis()).unwrap_or(u64::MAX);
    gauge("duration_milliseconds", "How long the last run took", whole(milliseconds));
    metrics.encode()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_group_for_each_pod() {
        let url = |base: &str, instance| grouped(base.parse().unwrap(), instance).to_string();
        assert_eq!(
            url("http://gateway:9091", Some("iris-0")),
            "http://gateway:9091/metrics/job/storage-initializer/instance/iris-0"
        );
        assert_eq!(url("http://gateway/push/", None), "http://gateway/push/metrics/job/storage-initializer");
    }

    #[test]
    fn all_metrics_are_gauges_which_every_gateway_reads() {
        let text = text(&Report::new(), &Ending::Stopped("SIGTERM"));
        assert!(text.contains("storage_initializer_exit_code 143\n"), "{text}");
        assert!(text.lines().filter(|line| line.starts_with("# TYPE")).all(|line| line.ends_with(" gauge")), "{text}");
    }
}
