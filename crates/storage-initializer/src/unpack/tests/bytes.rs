//! Tars made byte by byte: libraries do not make what attackers make.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A tar in the making.
#[derive(Default)]
pub(super) struct Tar(pub(super) Vec<u8>);

impl Tar {
    pub(super) fn file(self, name: &str, content: &str) -> Self {
        self.entry(name.as_bytes(), b'0', b"", content.as_bytes())
    }

    pub(super) fn directory(self, name: &str) -> Self {
        self.entry(name.as_bytes(), b'5', b"", b"")
    }

    pub(super) fn symbolic_link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'2', target.as_bytes(), b"")
    }

    pub(super) fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(name.as_bytes(), b'1', target.as_bytes(), b"")
    }

    pub(super) fn entry(self, name: &[u8], kind: u8, link: &[u8], content: &[u8]) -> Self {
        self.with_mode(name, kind, link, content, 0o644)
    }

    pub(super) fn with_mode(mut self, name: &[u8], kind: u8, link: &[u8], content: &[u8], mode: u32) -> Self {
        self.0.extend(header(name, kind, link, content.len() as u64, mode));
        self.0.extend(content);
        self.pad();
        self
    }

    /// An extended header for the next entry.
    pub(super) fn records(self, records: &[(&str, &str)]) -> Self {
        let text: String = records.iter().map(|(key, value)| record(key, value)).collect();
        self.entry(b"PaxHeaders/x", b'x', b"", text.as_bytes())
    }

    pub(super) fn pad(&mut self) {
        self.0.resize(self.0.len().next_multiple_of(512), 0);
    }

    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

pub(super) fn header(name: &[u8], kind: u8, link: &[u8], size: u64, mode: u32) -> [u8; 512] {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, name);
    put(100, format!("{mode:07o}\0").as_bytes());
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{size:011o}\0").as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, &[kind]);
    put(157, link);
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}

fn record(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..1000).find(|length: &usize| length.to_string().len() + rest.len() == *length).unwrap();
    format!("{length}{rest}")
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstandard(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
