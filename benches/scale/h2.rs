//! gRPC over HTTP/2 by hand: one call, again and again on a connection.
//!
//! As a client library writes it: the first call puts its headers into the table of HPACK, the
//! later ones name them by number. A unary answer counts when it brought a message of the right
//! length and its trailers, so a refusal, which has no message, ends the round with an error.
//! Answers to calls on one connection are taken to come in the order of the calls; who measures how
//! long they took may then mistake one of those in flight for another, not their number.

use std::collections::HashMap;

use crate::caller::Talk;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const HEAD: usize = 9;
/// As much as a window may have: nothing here is to wait for one.
const WINDOW: u32 = (1 << 31) - 1;
const FIRST_WINDOW: u32 = 65_535;
const ENTRIES: u8 = 6;

/// The calls of one connection.
pub(crate) struct Grpc {
    headers: Vec<(&'static str, String)>,
    message: Vec<u8>,
    /// The least that a good answer's message has, in bytes.
    least: usize,
    next: u32,
    /// Of each stream in flight: bytes of its answer.
    seen: HashMap<u32, usize>,
}

impl Grpc {
    pub(crate) fn new(path: &str, token: &str, message: Vec<u8>, least: usize) -> Self {
        let headers = vec![
            (":path", path.to_owned()),
            (":authority", "127.0.0.1".to_owned()),
            ("te", "trailers".to_owned()),
            ("content-type", "application/grpc".to_owned()),
            ("authorization", format!("Bearer {token}")),
            ("user-agent", "bench/1".to_owned()),
        ];
        Self { headers, message, least, next: 1, seen: HashMap::new() }
    }

    fn block(&self, first: bool) -> Vec<u8> {
        // POST and http, of the table that everybody has.
        let mut block = vec![0x83, 0x86];
        if first {
            for (name, value) in &self.headers {
                block.push(0x40);
                string(&mut block, name);
                string(&mut block, value);
            }
        } else {
            // The table of everybody has 61; the newest entry comes next.
            block.extend((62..62 + ENTRIES).rev().map(|number| 0x80 | number));
        }
        block
    }
}

impl Talk for Grpc {
    fn hello(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let mut settings = vec![0, 4];
        settings.extend_from_slice(&WINDOW.to_be_bytes());
        write(out, SETTINGS, 0, 0, &settings);
        write(out, WINDOW_UPDATE, 0, 0, &(WINDOW - FIRST_WINDOW).to_be_bytes());
    }

    fn call(&mut self, out: &mut Vec<u8>) {
        let stream = self.next;
        let block = self.block(stream == 1);
        write(out, HEADERS, END_HEADERS, stream, &block);
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(self.message.len()).unwrap_or_default().to_be_bytes());
        body.extend_from_slice(&self.message);
        write(out, DATA, END_STREAM, stream, &body);
        self.seen.insert(stream, 0);
        self.next += 2;
    }

    fn take(&mut self, input: &mut Vec<u8>, out: &mut Vec<u8>) -> anyhow::Result<usize> {
        let mut done = 0;
        let whole = frames(input, out, |frame| {
            if frame.kind == DATA {
                *self.seen.entry(frame.stream).or_default() += frame.payload.len();
            }
            if frame.flags & END_STREAM != 0 {
                let bytes = self.seen.remove(&frame.stream).unwrap_or_default();
                anyhow::ensure!(bytes >= self.least, "an answer of {bytes} bytes: it was refused");
                done += 1;
            }
            Ok(())
        })?;
        input.drain(..whole);
        Ok(done)
    }
}

/// A frame of a stream: headers, trailers or data.
pub(crate) struct Frame<'a> {
    kind: u8,
    flags: u8,
    pub(crate) stream: u32,
    payload: &'a [u8],
}

impl Frame<'_> {
    /// What it brings of the stream's messages.
    pub(crate) fn data(&self) -> &[u8] {
        if self.kind == DATA { self.payload } else { &[] }
    }

    pub(crate) fn is_last(&self) -> bool {
        self.flags & END_STREAM != 0
    }
}

/// Hands over every whole frame of a stream, and answers what the connection asks; how many bytes
/// of the input were whole.
pub(crate) fn frames(
    input: &[u8],
    out: &mut Vec<u8>,
    mut take: impl FnMut(Frame<'_>) -> anyhow::Result<()>,
) -> anyhow::Result<usize> {
    let mut at = 0;
    while let Some(head) = input.get(at..at + HEAD) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let (kind, flags) = (head[3], head[4]);
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let Some(payload) = input.get(at + HEAD..at + HEAD + length) else { break };
        match kind {
            DATA | HEADERS => take(Frame { kind, flags, stream, payload })?,
            SETTINGS if flags & ACK == 0 => write(out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => write(out, PING, ACK, 0, payload),
            RST_STREAM | GOAWAY => anyhow::bail!("the server ends it: frame {kind}, {payload:?}"),
            _ => {}
        }
        at += HEAD + length;
    }
    Ok(at)
}

fn write(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or_default().to_be_bytes();
    out.extend_from_slice(&length[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

/// A literal without Huffman's code, shorter than 127 bytes.
fn string(block: &mut Vec<u8>, text: &str) {
    block.push(u8::try_from(text.len()).unwrap_or_default() & 0x7f);
    block.extend_from_slice(text.as_bytes());
}
