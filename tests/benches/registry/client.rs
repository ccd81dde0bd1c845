//! A client that does as little as it can, so that what is measured is the server: one connection that is kept, requests one
//! after the other.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// A connection.
pub(crate) struct Client {
    stream: TcpStream,
    /// As requests name the server: some answer to no name that they do not know.
    host: SocketAddr,
    buffer: Vec<u8>,
}

/// What was answered.
pub(crate) struct Answer<'b> {
    pub(crate) status: u16,
    pub(crate) body: &'b [u8],
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
        Self { stream, host: address, buffer: vec![0; 64 << 10] }
    }

    pub(crate) fn get(&mut self, path: &str) -> Answer<'_> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.host))
    }

    /// What was asked for, which is there.
    pub(crate) fn read(&mut self, path: &str) -> &[u8] {
        let Answer { status, body } = self.get(path);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(body));
        body
    }

    /// What was made.
    pub(crate) fn make(&mut self, path: &str, body: &str) -> &[u8] {
        let (host, length) = (self.host, body.len());
        let Answer { status, body } = self.ask(&format!(
            "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        assert!(matches!(status, 200 | 201), "{path}: {status} {}", String::from_utf8_lossy(body));
        body
    }

    fn ask(&mut self, request: &str) -> Answer<'_> {
        self.stream.write_all(request.as_bytes()).unwrap();
        let (mut filled, mut whole) = (0, None);
        while whole.is_none_or(|(_, end)| filled < end) {
            if filled == self.buffer.len() {
                self.buffer.resize(filled * 2, 0);
            }
            let read = self.stream.read(&mut self.buffer[filled..]).unwrap();
            assert!(read > 0, "the connection was closed after {request}");
            filled += read;
            whole = whole.or_else(|| extent(&self.buffer[..filled]));
        }
        let (start, end) = whole.unwrap();
        let status = std::str::from_utf8(&self.buffer[9..12]).unwrap().parse().unwrap();
        Answer { status, body: &self.buffer[start..end] }
    }
}

/// Where the body of an answer begins and ends, once its head is there.
fn extent(answer: &[u8]) -> Option<(usize, usize)> {
    const LENGTH: &[u8] = b"content-length: ";
    let start = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let place = answer[..start].windows(LENGTH.len()).position(|window| window == LENGTH);
    let digits = answer[place.expect("answers say how long they are") + LENGTH.len()..].iter();
    let length =
        digits.take_while(|byte| byte.is_ascii_digit()).fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
    Some((start, start + length))
}

/// How long answers took, from the shortest on.
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// Asks for these paths in turn: all of them, over and over, for some time.
    pub(crate) fn of(address: SocketAddr, paths: &[String], time: Duration) -> Self {
        let mut client = Client::connect(address);
        // What is asked for first may have to be prepared.
        for path in paths.iter().take(20) {
            client.read(path);
        }
        let (start, mut times) = (Instant::now(), Vec::new());
        for path in paths.iter().cycle() {
            if start.elapsed() >= time && times.len() >= AT_LEAST {
                break;
            }
            let asked = Instant::now();
            client.read(path);
            times.push(asked.elapsed());
        }
        times.sort_unstable();
        Self(times)
    }

    pub(crate) fn percentile(&self, hundredths: usize) -> Duration {
        self.0[(self.0.len() * hundredths / 100).min(self.0.len() - 1)]
    }

    /// The median, and what all but one in a hundred are quicker than.
    pub(crate) fn shown(&self) -> String {
        let millis = |hundredths| self.percentile(hundredths).as_secs_f64() * 1e3;
        format!("{:.2} / {:.2} ms", millis(50), millis(99))
    }
}

const AT_LEAST: usize = 20;

/// How many requests a second are answered when so many do that at the same time, each as often as it can. Each is told its
/// number and how often it has done it, and says how many requests that took.
pub(crate) fn rate(
    address: SocketAddr,
    clients: usize,
    time: Duration,
    work: impl Fn(&mut Client, &str) -> usize + Sync,
) -> f64 {
    let start = Instant::now();
    let requests: usize = std::thread::scope(|scope| {
        let one = |number: usize| {
            let work = &work;
            scope.spawn(move || {
                let (mut client, mut requests, mut round) = (Client::connect(address), 0, 0);
                while start.elapsed() < time {
                    requests += work(&mut client, &format!("{clients}-{number}-{round}"));
                    round += 1;
                }
                requests
            })
        };
        let all: Vec<_> = (0..clients).map(one).collect();
        all.into_iter().map(|client| client.join().unwrap()).sum()
    });
    #[allow(clippy::cast_precision_loss, reason = "for people")]
    let requests = requests as f64;
    requests / start.elapsed().as_secs_f64()
}
