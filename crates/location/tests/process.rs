//! The binary as it is run: its settings from the environment, its exit codes, its end.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up should stop at once")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

fn location(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_location"));
    command.env_clear().env("LOCATION_LISTEN_ADDRESS", "127.0.0.1:0").stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).envs(variables.iter().copied());
    command
}

fn failing(variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = location(variables).output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

/// Ends with the test, however that ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn empty_variables_count_as_unset_and_sigterm_ends_it_with_success() {
    let variables = [("LOG_FORMAT", "json"), ("STORAGE_URL", ""), ("POD_IP", ""), ("NORMALIZER_FORMAT", "")];
    let insecure = [("STORAGE_INSECURE_SKIP_TLS_VERIFY", "1")];
    let mut process = Process(location(&[&variables[..], &insecure].concat()).spawn().unwrap());
    let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map(Result::unwrap);
    let address = lines.find_map(|line| {
        let event: Value = serde_json::from_str(&line).unwrap();
        event["address"].as_str().map(|address| address.parse::<SocketAddr>().unwrap())
    });
    TcpStream::connect(address.unwrap()).unwrap();
    let killed = Command::new("kill").args(["-TERM", &process.0.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let rest: Vec<String> = lines.collect();
    assert!(rest.iter().any(|line| line.contains("SIGTERM")), "{rest:?}");
    assert_eq!(process.0.wait().unwrap().code(), Some(0));
}

#[test]
fn a_bad_value_ends_it_with_2_and_a_message_that_names_the_setting() {
    for (variable, flag) in [
        ("NORMALIZER_FORMAT", "--format"),
        ("LOCATION_RESYNC_INTERVAL", "--resync-interval"),
        ("STORAGE_URL", "--storage-url"),
        ("LOG_LEVEL", "--log-level"),
        ("LOG_FORMAT", "--log-format"),
        ("POD_IP", "--pod-ip"),
        ("STORAGE_INSECURE_SKIP_TLS_VERIFY", "--storage-insecure-skip-tls-verify"),
    ] {
        let (code, text) = failing(&[(variable, "a=!")]);
        assert_eq!(code, Some(2), "{variable}: {text}");
        assert!(text.contains(variable) && text.contains(flag), "{variable}: {text}");
    }
}

#[test]
fn a_taken_port_and_a_missing_ca_file_end_it_with_a_message_that_names_them() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, text) = failing(&[("LOCATION_LISTEN_ADDRESS", &address)]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&address) && text.contains("LOCATION_LISTEN_ADDRESS"), "{text}");
    let (code, text) = failing(&[("STORAGE_CA", "/no/such/file.pem")]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("/no/such/file.pem"), "{text}");
}

#[test]
fn help_names_every_setting_and_no_value() {
    let Output { status, stdout, .. } = location(&[("POD_IP", "10.11.12.13")]).arg("--help").output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    assert_eq!(status.code(), Some(0));
    for name in ["LOCATION_LISTEN_ADDRESS", "STORAGE_URL", "POD_IP", "NORMALIZER_FORMAT", "LOG_LEVEL", "STORAGE_CA"] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(!text.contains("10.11.12.13"));
}
