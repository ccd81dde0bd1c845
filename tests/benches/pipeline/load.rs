//! Readers that ask as fast as they are answered, over connections that are kept. They share the machine with the
//! service, so they do as little as they can: one thread, requests written beforehand, answers only counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// What readers are to do.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) address: SocketAddr,
    /// Whole requests, of which each reader takes one after the other.
    pub(crate) requests: Arc<[Vec<u8>]>,
    /// How the answers begin.
    pub(crate) expected: &'static [u8],
    pub(crate) connections: usize,
    pub(crate) time: Duration,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) took: Duration,
    /// How long each answer took, from the shortest on.
    latencies: Vec<Duration>,
}

impl Load {
    /// Reads for as long as it is to, on a thread of its own.
    pub(crate) async fn run(self) -> Answered {
        tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(self.read())
        })
        .await
        .unwrap()
    }

    async fn read(self) -> Answered {
        let start = Instant::now();
        let mut readers = JoinSet::new();
        for number in 0..self.connections {
            readers.spawn(Reader::connect(self.clone(), number, start + self.time));
        }
        let mut latencies: Vec<Duration> = readers.join_all().await.into_iter().flatten().collect();
        let took = start.elapsed();
        latencies.sort_unstable();
        Answered { took, latencies }
    }
}

impl Answered {
    pub(crate) fn count(&self) -> usize {
        self.latencies.len()
    }

    /// How long it took to answer the quickest `hundredths` of all.
    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        self.latencies[(self.latencies.len() * hundredths / 100).min(self.latencies.len() - 1)]
    }
}

struct Reader {
    stream: TcpStream,
    expected: &'static [u8],
    buffer: Vec<u8>,
}

impl Reader {
    async fn connect(load: Load, number: usize, until: Instant) -> Vec<Duration> {
        let stream = TcpStream::connect(load.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let mut reader = Self { stream, expected: load.expected, buffer: vec![0; 64 << 10] };
        let mut latencies = Vec::with_capacity(1 << 14);
        // Readers begin at different places and leave as much out each time, so that all is asked for.
        let mut next = number * load.requests.len() / load.connections;
        loop {
            let asked = Instant::now();
            if asked >= until {
                return latencies;
            }
            reader.ask(&load.requests[next]).await;
            latencies.push(asked.elapsed());
            next = (next + 7_919) % load.requests.len();
        }
    }

    async fn ask(&mut self, request: &[u8]) {
        self.stream.write_all(request).await.unwrap();
        let mut filled = 0;
        let mut whole = usize::MAX;
        while filled < whole {
            let read = self.stream.read(&mut self.buffer[filled..]).await.unwrap();
            assert!(read > 0, "the connection was closed: {}", String::from_utf8_lossy(&self.buffer[..filled]));
            filled += read;
            if whole == usize::MAX {
                whole = length_of(&self.buffer[..filled]).unwrap_or(usize::MAX);
            }
        }
        let begins = &self.buffer[..filled.min(100)];
        assert!(begins.starts_with(self.expected), "{}", String::from_utf8_lossy(begins));
    }
}

/// The length of an answer, once its head is there.
fn length_of(answer: &[u8]) -> Option<usize> {
    const LENGTH: &[u8] = b"content-length: ";
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let length = answer[..head].windows(LENGTH.len()).position(|window| window == LENGTH);
    let body = length.map_or(0, |place| {
        let digits = answer[place + LENGTH.len()..].iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
    });
    Some(head + body)
}
