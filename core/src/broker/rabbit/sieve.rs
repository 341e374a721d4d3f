//! Finds the frames in what the broker sends, and holds those that have to be looked at until they are whole: [`Sieve`]. Pure.

use super::legible;

const METHOD: u8 = 1;
const CONTENT_HEADER: u8 = 2;
/// The type, the channel and the size.
const HEAD: usize = 7;
/// A frame above this passes unseen: brokers send none, unless they are set up so.
const LARGEST: usize = 4 << 20;

/// Where in the stream of frames we are.
#[derive(Debug, Default)]
pub(super) struct Sieve {
    /// How much is still to come of a frame that passes.
    passing: usize,
    /// The beginning of a frame that is held.
    held: Vec<u8>,
}

impl Sieve {
    /// Takes what was read. `bytes` may be handed on up to the length that comes back; what is beyond it is held.
    pub(super) fn sift(&mut self, bytes: &mut [u8]) -> usize {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &mut bytes[at..];
            if self.passing > 0 {
                let passed = self.passing.min(rest.len());
                self.passing -= passed;
                at += passed;
                continue;
            }
            match frame(rest) {
                Some((_, length)) if length <= rest.len() => {
                    mend(&mut rest[..length]);
                    at += length;
                }
                Some((kind, length)) if !is_looked_at(kind) || length > LARGEST => self.passing = length,
                _ => {
                    self.held.extend_from_slice(rest);
                    return at;
                }
            }
        }
        at
    }

    /// How much has to be read before what is held can be handed on; `None`: nothing is held.
    pub(super) fn wants(&self) -> Option<usize> {
        if self.held.is_empty() {
            return None;
        }
        let length = frame(&self.held).map_or(HEAD, |(_, length)| length);
        Some(length - self.held.len())
    }

    /// Takes what was read of what it wants, and gives what it held once that is whole.
    pub(super) fn add(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.held.extend_from_slice(bytes);
        let (kind, length) = frame(&self.held)?;
        if !is_looked_at(kind) || length > LARGEST {
            self.passing = length - self.held.len();
        } else if self.held.len() < length {
            return None;
        }
        let mut whole = std::mem::take(&mut self.held);
        mend(&mut whole);
        Some(whole)
    }
}

/// The type and the whole length of the frame that begins here, with its last octet.
fn frame(bytes: &[u8]) -> Option<(u8, usize)> {
    let &[kind, _, _, a, b, c, d, ..] = bytes else {
        return None;
    };
    let size = usize::try_from(u32::from_be_bytes([a, b, c, d])).ok()?;
    Some((kind, HEAD.checked_add(size)?.checked_add(1)?))
}

fn is_looked_at(kind: u8) -> bool {
    matches!(kind, METHOD | CONTENT_HEADER)
}

/// A frame that makes no sense is for the client library to complain about.
fn mend(frame: &mut [u8]) {
    let [kind, _, _, _, _, _, _, payload @ .., _end] = frame else {
        return;
    };
    let _ = match *kind {
        METHOD => legible::method(payload),
        CONTENT_HEADER => legible::content_header(payload),
        _ => None,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(kind: u8, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).expect("short");
        [&[kind, 0, 1][..], &size.to_be_bytes(), payload, &[0xce]].concat()
    }

    /// A delivery with an illegible key, its header with an illegible type, its body, and a heartbeat.
    fn stream(mark: u8) -> Vec<u8> {
        let deliver = [&[0, 60, 0, 60, 1, b'c'][..], &[0; 9], &[0, 2, b'k', mark]].concat();
        let header = [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0x20, 1][..], &[mark]].concat();
        [
            framed(1, &deliver),
            framed(2, &header),
            framed(3, b"\xff\xfe\xfd"),
            framed(8, b""),
        ]
        .concat()
    }

    /// Reads as a socket does that gives so many bytes at a time.
    fn read(mut bytes: &[u8], step: usize) -> Vec<u8> {
        let (mut sieve, mut read) = (Sieve::default(), Vec::new());
        while !bytes.is_empty() {
            let wanted = sieve.wants();
            let (part, rest) = bytes.split_at(step.min(wanted.unwrap_or(step)).min(bytes.len()));
            bytes = rest;
            let mut part = part.to_vec();
            match wanted {
                Some(_) => read.extend(sieve.add(&part).unwrap_or_default()),
                None => {
                    let passed = sieve.sift(&mut part);
                    read.extend(&part[..passed]);
                }
            }
        }
        assert_eq!(sieve.wants(), None, "all of it was whole");
        read
    }

    #[test]
    fn however_the_bytes_arrive_each_frame_is_mended_and_none_is_lost() {
        let illegible = [stream(0xff), stream(0xfe)].concat();
        let legible = [stream(b'?'), stream(b'?')].concat();
        for step in 1..=illegible.len() {
            assert_eq!(read(&illegible, step), legible, "{step} bytes at a time");
        }
    }

    #[test]
    fn what_is_no_frame_or_too_large_a_one_passes() {
        let greeting = b"AMQP\0\0\x09\x01".repeat(40);
        assert_eq!(read(&greeting, 3), greeting);
        let large = framed(2, &vec![0xff; LARGEST]);
        assert_eq!(read(&large, 60_000), large);
    }
}
