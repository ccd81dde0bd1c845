//! Measures downloads from a server on the loopback, side by side with requests that only write what comes to files:
//! `cargo run --profile measured -p storage-initializer --example measure -- SIZE COUNT DIRECTORY`.
//!
//! The server is another process. Memory is that of this one, after each of the two.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a measurement that cannot be set up should stop"
)]
#![allow(clippy::cast_precision_loss, reason = "figures for people")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs};

use futures::{StreamExt as _, TryStreamExt as _, stream};
use storage_initializer::fetch::{self, Limits};
use storage_initializer::progress::Progress;
use tokio::io::AsyncWriteExt as _;

#[path = "../tests/support/mod.rs"]
mod support;

use support::http::{Files, Server, Shape};

const LIMITS: Limits = Limits { connections: 16, range: 16 << 20, attempts: 3, reserve: 0, total: None };

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", size] => {
            println!("{}", Server::new(size.parse().unwrap()).listen().await);
            std::future::pending::<()>().await;
        }
        [size, count, directory] => {
            let shape = Shape { size: size.parse().unwrap(), count: count.parse().unwrap() };
            measure(shape, directory.into()).await;
        }
        _ => panic!("arguments: SIZE COUNT DIRECTORY"),
    }
}

async fn measure(shape: Shape, directory: PathBuf) {
    let mut server = Command::new(env::current_exe().unwrap())
        .args(["serve", &shape.size.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut address).unwrap();
    let files = Arc::new(Files::new(address.trim(), shape));
    for round in 0..3 {
        let destination = directory.join(format!("fetched-{round}"));
        let began = Instant::now();
        fetch::fetch(files.clone(), &destination, LIMITS, &Progress::default()).await.unwrap();
        tell("fetch", shape, began.elapsed());
        fs::remove_dir_all(destination).unwrap();

        let destination = directory.join(format!("plain-{round}"));
        fs::create_dir_all(&destination).unwrap();
        let began = Instant::now();
        plain(&files, shape, &destination).await;
        tell("plain", shape, began.elapsed());
        fs::remove_dir_all(destination).unwrap();
    }
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Ranges of each file as they are, all at a time that there are connections for, each to a file of its own.
async fn plain(files: &Files, shape: Shape, destination: &Path) {
    let ranges = (0..shape.size.max(1)).step_by(usize::try_from(LIMITS.range).unwrap());
    let parts = (0..shape.count).flat_map(|number| ranges.clone().map(move |start| (number, start)));
    stream::iter(parts.map(Ok))
        .try_for_each_concurrent(LIMITS.connections, |(number, start)| async move {
            let range = (shape.size > LIMITS.range).then(|| start..shape.size.min(start + LIMITS.range));
            let mut bytes = files.get(number, range).await?.bytes_stream();
            let mut file = tokio::fs::File::create(destination.join(format!("{number}-{start}"))).await.unwrap();
            while let Some(bytes) = bytes.next().await {
                file.write_all(&bytes?).await.unwrap();
            }
            file.flush().await.unwrap();
            Ok::<_, reqwest::Error>(())
        })
        .await
        .unwrap();
}

fn tell(what: &str, shape: Shape, took: Duration) {
    let seconds = took.as_secs_f64();
    let rate = (shape.size * shape.count) as f64 / seconds / f64::from(1 << 20);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let memory = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or_default();
    println!("{what}: {seconds:.2} s, {rate:.0} MiB/s, {:.0} files/s, {memory}", shape.count as f64 / seconds);
}
