//! Ports for services that are stopped and started again. They lie below the range from which the kernel takes those of
//! outgoing connections, so that nobody takes one while its service is down.

use std::net::TcpListener;
use std::sync::atomic::{AtomicU16, Ordering};

const FIRST: u16 = 12_000;
const COUNT: u16 = 20_000;

static NEXT: AtomicU16 = AtomicU16::new(0);

/// A port of the loopback interface that nobody uses, given out once in this process.
///
/// # Panics
/// When there is none.
pub fn port() -> u16 {
    // Processes that test at the same time begin at different places.
    let start = u16::try_from(std::process::id().wrapping_mul(131) % u32::from(COUNT)).unwrap_or_default();
    (0..1000)
        .map(|_| FIRST + start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a free port")
}
