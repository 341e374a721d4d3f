//! As much AMQP 0-9-1 as the limit needs, by hand, on one blocking socket.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xCE;

/// Class and method of what is sent or awaited.
pub mod method {
    /// A class and a method.
    pub type Method = (u16, u16);
    pub(super) const START: Method = (10, 10);
    pub(super) const START_OK: Method = (10, 11);
    pub(super) const TUNE: Method = (10, 30);
    pub(super) const TUNE_OK: Method = (10, 31);
    pub(super) const OPEN: Method = (10, 40);
    pub(super) const OPEN_OK: Method = (10, 41);
    pub(super) const CHANNEL_OPEN: Method = (20, 10);
    pub(super) const CHANNEL_OPEN_OK: Method = (20, 11);
    pub(super) const QOS: Method = (60, 10);
    pub(super) const QOS_OK: Method = (60, 11);
    pub(super) const CONSUME: Method = (60, 20);
    pub(super) const CONSUME_OK: Method = (60, 21);
    pub(super) const PUBLISH: Method = (60, 40);
    /// A message comes.
    pub const DELIVER: Method = (60, 60);
    /// A message, or several, are done or stored.
    pub const ACK: Method = (60, 80);
    /// A message is refused.
    pub const NACK: Method = (60, 120);
    pub(super) const CONFIRM: Method = (85, 10);
    pub(super) const CONFIRM_OK: Method = (85, 11);
}

use method::Method;

/// A connection with its one channel.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    /// What was read and not taken: `buffer[at..]`.
    buffer: Vec<u8>,
    at: usize,
}

/// A frame of a method: which, and its arguments. Headers and bodies have no method.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Which; `None`: a header, a body or a heartbeat.
    pub method: Option<Method>,
    /// What follows.
    pub arguments: &'a [u8],
}

impl Frame<'_> {
    /// The tag of an ack, and whether it counts for all before it.
    ///
    /// # Errors
    ///
    /// If the frame is too short to have one.
    pub fn tag(&self) -> io::Result<(u64, bool)> {
        let tag = self
            .arguments
            .first_chunk()
            .ok_or_else(|| broken("a frame without a tag"))?;
        let multiple = self.arguments.get(8).is_some_and(|bits| bits & 1 == 1);
        Ok((u64::from_be_bytes(*tag), multiple))
    }

    /// The tag of a delivery.
    ///
    /// # Errors
    ///
    /// If the frame is too short to have one.
    pub fn delivery_tag(&self) -> io::Result<u64> {
        let after_name = 1 + usize::from(*self.arguments.first().unwrap_or(&0));
        let rest = self.arguments.get(after_name..).unwrap_or_default();
        let tag = rest.first_chunk().ok_or_else(|| broken("a delivery without a tag"))?;
        Ok(u64::from_be_bytes(*tag))
    }
}

impl Wire {
    /// Connects to `host:port`, logs in, and opens a channel.
    ///
    /// # Errors
    ///
    /// If the broker cannot be reached, or refuses.
    pub fn open(address: &str, user: &str, password: &str, vhost: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let mut wire = Self {
            stream,
            buffer: Vec::with_capacity(1 << 17),
            at: 0,
        };
        wire.send(b"AMQP\x00\x00\x09\x01")?;
        wire.await_method(method::START)?;
        let mut start_ok = table(&[]);
        short(&mut start_ok, "PLAIN");
        long(&mut start_ok, format!("\0{user}\0{password}").as_bytes());
        short(&mut start_ok, "en_US");
        wire.send(&frame(0, method::START_OK, &start_ok))?;
        wire.await_method(method::TUNE)?;
        // Channels, frame size, no heartbeats.
        wire.send(&frame(0, method::TUNE_OK, &[0, 1, 0, 2, 0, 0, 0, 0]))?;
        let mut open = Vec::new();
        short(&mut open, vhost);
        open.extend([0, 0]);
        wire.send(&frame(0, method::OPEN, &open))?;
        wire.await_method(method::OPEN_OK)?;
        wire.send(&frame(1, method::CHANNEL_OPEN, &[0]))?;
        wire.await_method(method::CHANNEL_OPEN_OK)?;
        Ok(wire)
    }

    /// Asks for confirms.
    ///
    /// # Errors
    ///
    /// If the broker does not give them.
    pub fn confirm(&mut self) -> io::Result<()> {
        self.send(&frame(1, method::CONFIRM, &[0]))?;
        self.await_method(method::CONFIRM_OK)
    }

    /// Consumes a queue, so many messages at a time.
    ///
    /// # Errors
    ///
    /// If the broker refuses.
    pub fn consume(&mut self, queue: &str, prefetch: u16) -> io::Result<()> {
        let mut qos = vec![0; 4];
        qos.extend(prefetch.to_be_bytes());
        qos.push(0);
        self.send(&frame(1, method::QOS, &qos))?;
        self.await_method(method::QOS_OK)?;
        let mut consume = vec![0; 2];
        short(&mut consume, queue);
        short(&mut consume, "limit");
        consume.push(0);
        consume.extend(table(&[]));
        self.send(&frame(1, method::CONSUME, &consume))?;
        self.await_method(method::CONSUME_OK)
    }

    /// Acks everything up to this tag.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn ack_up_to(&mut self, tag: u64) -> io::Result<()> {
        let mut ack = tag.to_be_bytes().to_vec();
        ack.push(1);
        self.send(&frame(1, method::ACK, &ack))
    }

    /// Writes frames.
    ///
    /// # Errors
    ///
    /// If the connection is gone.
    pub fn send(&mut self, frames: &[u8]) -> io::Result<()> {
        self.stream.write_all(frames)
    }

    /// The next frame; waits for it.
    ///
    /// # Errors
    ///
    /// If the connection is gone, or the broker closes it or the channel.
    pub fn read(&mut self) -> io::Result<Frame<'_>> {
        let length = loop {
            if let Some(length) = complete(&self.buffer[self.at..]) {
                break length;
            }
            self.read_more()?;
        };
        let frame = &self.buffer[self.at..self.at + length];
        self.at += length;
        let payload = &frame[7..length - 1];
        let method = match (frame[0], payload.first_chunk::<4>()) {
            (METHOD, Some(&[a, b, c, d])) => Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))),
            _ => None,
        };
        match method {
            Some((10, 50) | (20, 40)) => Err(farewell(payload)),
            Some(_) => Ok(Frame {
                method,
                arguments: &payload[4..],
            }),
            None => Ok(Frame {
                method,
                arguments: payload,
            }),
        }
    }

    /// Whether a whole frame was read and not taken.
    pub fn has_frame(&self) -> bool {
        complete(&self.buffer[self.at..]).is_some()
    }

    fn read_more(&mut self) -> io::Result<()> {
        self.buffer.drain(..self.at);
        self.at = 0;
        let end = self.buffer.len();
        self.buffer.resize(end + (1 << 16), 0);
        let read = self.stream.read(&mut self.buffer[end..])?;
        self.buffer.truncate(end + read);
        match read {
            0 => Err(broken("the broker closed the connection")),
            _ => Ok(()),
        }
    }

    fn await_method(&mut self, wanted: Method) -> io::Result<()> {
        while self.read()?.method != Some(wanted) {}
        Ok(())
    }
}

/// How long the first frame of these bytes is, if it is whole.
fn complete(bytes: &[u8]) -> Option<usize> {
    let head = bytes.first_chunk::<7>()?;
    debug_assert!(
        [METHOD, HEADER, BODY, HEARTBEAT].contains(&head[0]),
        "a frame begins here"
    );
    let size = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
    let length = usize::try_from(size).ok()? + 8;
    (bytes.len() >= length).then_some(length)
}

/// The three frames of a persistent, mandatory publish to a queue, with the properties of a job.
pub fn publish(queue: &str, name: &str, id: &str, body: &[u8]) -> Vec<u8> {
    // Content type, delivery mode, message id, type: the bits 15, 12, 7 and 5.
    const FLAGS: u16 = 1 << 15 | 1 << 12 | 1 << 7 | 1 << 5;
    let mut publish = vec![0; 2];
    short(&mut publish, "");
    short(&mut publish, queue);
    publish.push(1);
    let mut header = vec![0, 60, 0, 0];
    header.extend((body.len() as u64).to_be_bytes());
    header.extend(FLAGS.to_be_bytes());
    short(&mut header, "application/json");
    header.push(2);
    short(&mut header, id);
    short(&mut header, name);
    let mut frames = frame(1, method::PUBLISH, &publish);
    enclose(&mut frames, HEADER, 1, &header);
    enclose(&mut frames, BODY, 1, body);
    frames
}

fn frame(channel: u16, (class, method): Method, arguments: &[u8]) -> Vec<u8> {
    let mut payload = class.to_be_bytes().to_vec();
    payload.extend(method.to_be_bytes());
    payload.extend(arguments);
    let mut frame = Vec::with_capacity(payload.len() + 8);
    enclose(&mut frame, METHOD, channel, &payload);
    frame
}

fn enclose(out: &mut Vec<u8>, kind: u8, channel: u16, payload: &[u8]) {
    out.push(kind);
    out.extend(channel.to_be_bytes());
    out.extend(len32(payload));
    out.extend(payload);
    out.push(END);
}

fn table(entries: &[u8]) -> Vec<u8> {
    let mut table = len32(entries).to_vec();
    table.extend(entries);
    table
}

fn short(out: &mut Vec<u8>, text: &str) {
    // Names, credentials and ids here are short; a longer one would be cut, and refused by the broker.
    out.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
    out.extend(text.as_bytes());
}

fn long(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend(len32(bytes));
    out.extend(bytes);
}

fn len32(bytes: &[u8]) -> [u8; 4] {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes()
}

/// What the broker says when it closes the connection or the channel: after class, method and code a text with its length.
fn farewell(payload: &[u8]) -> io::Error {
    let text = payload.get(7..).unwrap_or_default();
    let length = payload.get(6).map_or(0, |length| usize::from(*length));
    let text = String::from_utf8_lossy(&text[..length.min(text.len())]);
    broken(&format!("the broker ended it: {text}"))
}

fn broken(why: &str) -> io::Error {
    io::Error::other(why.to_owned())
}
