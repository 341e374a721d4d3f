//! What the client library gets to read. A message's properties are whatever its producer wrote, the broker passes them on unread, and on what it
//! cannot read the client loses its connection, waits for ever, or runs out of stack; so would the next worker that gets the message. So every content
//! header frame is looked at first, and one like that is replaced by one without what cannot be read, marked as such: see
//! [`headers::UNREADABLE`](crate::envelope::headers::UNREADABLE). So is the method frame before it, which says where the message was published to. Pure.

mod delivery;
mod properties;

use std::collections::VecDeque;

pub(super) use self::properties::mended;

/// Type, channel and size.
const HEAD: usize = 7;

/// The type of a method frame.
const METHOD: u8 = 1;

/// The type of a content header frame.
const HEADER: u8 = 2;

/// A larger frame is none of a broker: it is passed on, for the client to refuse.
const MOST: usize = 16 * 1024 * 1024;

/// One direction of a connection: bytes in, as they come, and bytes out.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The beginning of a frame that is not decided about.
    held: Vec<u8>,
    /// How much is still to come of a frame that is passed on as it is.
    passing: usize,
    /// What was decided about.
    ready: VecDeque<u8>,
}

impl Screen {
    /// How many of the next bytes need not go through here, because they only would be passed on.
    pub(super) fn may_pass(&self) -> usize {
        if self.ready.is_empty() { self.passing } else { 0 }
    }

    /// Says that so many of those have been read.
    pub(super) fn passed(&mut self, bytes: usize) {
        self.passing = self.passing.saturating_sub(bytes);
    }

    /// Takes in what was read.
    pub(super) fn take_in(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = match self.passing {
                0 => self.wanted() - self.held.len(),
                passing => passing,
            };
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            bytes = later;
            match self.passing {
                0 => self.hold(now),
                _ => {
                    self.ready.extend(now);
                    self.passing -= now.len();
                }
            }
        }
    }

    /// Nothing more will come: whatever is held is the client's.
    pub(super) fn end(&mut self) {
        self.ready.extend(self.held.drain(..));
    }

    /// Writes what is decided about into `buffer`, and tells how much that was.
    pub(super) fn give(&mut self, buffer: &mut [u8]) -> usize {
        let (first, _) = self.ready.as_slices();
        let length = first.len().min(buffer.len());
        buffer[..length].copy_from_slice(&first[..length]);
        self.ready.drain(..length);
        length
    }

    /// How much has to be held before anything can be decided: the head, and the whole of a frame that is looked at.
    fn wanted(&self) -> usize {
        match self.size() {
            Some(size) => HEAD + size,
            None => HEAD,
        }
    }

    /// How much follows the head, once that is here: the payload and the octet that ends a frame.
    fn size(&self) -> Option<usize> {
        let size = self.held.get(3..HEAD)?.first_chunk()?;
        usize::try_from(u32::from_be_bytes(*size)).ok()?.checked_add(1)
    }

    fn hold(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        let Some(size) = self.size() else { return };
        if !matches!(self.held[0], METHOD | HEADER) || size > MOST {
            self.passing = size;
            self.end();
        } else if self.held.len() == HEAD + size {
            self.decide();
        }
    }

    /// A whole frame that is looked at is here.
    fn decide(&mut self) {
        let end = self.held.len() - 1;
        if self.held[0] == METHOD {
            // One that makes no sense is for the client to complain about.
            let _mended = delivery::mend(&mut self.held[HEAD..end]);
        } else if let Some(mended) = mended(&self.held[HEAD..end]) {
            let end = self.held[self.held.len() - 1];
            // What is left out makes room for the mark, mostly; a frame is as long as its head says either way.
            let size = u32::try_from(mended.len()).unwrap_or(u32::MAX);
            self.held.truncate(3);
            self.held.extend(size.to_be_bytes());
            self.held.extend(mended);
            self.held.push(end);
        }
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let size = u32::try_from(payload.len()).expect("small");
        [&[kind, 0, 1], &size.to_be_bytes()[..], payload, &[0xce]].concat()
    }

    /// A header frame whose `type` is not UTF-8.
    fn unreadable() -> Vec<u8> {
        let fixed = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];
        frame(HEADER, &[&fixed[..], &[0x00, 0x20, 2, 0xff, 0xfe]].concat())
    }

    /// All that comes out if the bytes come in pieces of this length.
    fn screened(bytes: &[u8], piece: usize) -> Vec<u8> {
        let (mut screen, mut out, mut buffer) = (Screen::default(), Vec::new(), [0; 5]);
        for piece in bytes.chunks(piece) {
            screen.take_in(piece);
            while let given @ 1.. = screen.give(&mut buffer) {
                out.extend_from_slice(&buffer[..given]);
            }
        }
        screen.end();
        out.extend(screen.ready);
        out
    }

    #[test]
    fn a_header_that_cannot_be_read_is_replaced_and_what_surrounds_it_is_not() {
        let (before, after) = (frame(1, b"a method"), frame(3, b"{}"));
        let bytes = [before.clone(), unreadable(), after.clone()].concat();
        for piece in [1, 3, 7, 8, 1_000] {
            let out = screened(&bytes, piece);
            assert!(out.starts_with(&before) && out.ends_with(&after), "{piece}");
            assert!(out.windows(18).any(|window| window == b"leveret-unreadable"), "{piece}");
            assert!(!out.contains(&0xff), "{piece}");
        }
    }

    #[test]
    fn what_is_no_amqp_is_passed_on_to_the_last_byte() {
        for bytes in [
            &b"AMQP\0\0\x09\x01"[..],
            b"HTTP",
            b"\x02\0\0\xff\xff\xff\xff...",
            b"\x02\0\0\0\0\0\x09half",
        ] {
            assert_eq!(screened(bytes, 3), bytes);
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_goes_on_but_for_headers(frames in prop::collection::vec((prop_oneof![Just(1u8), Just(3), Just(8)], prop::collection::vec(any::<u8>(), 0..40)), 0..6), piece in 1usize..30) {
            let bytes: Vec<u8> = frames.iter().flat_map(|(kind, payload)| frame(*kind, payload)).collect();
            prop_assert_eq!(screened(&bytes, piece), bytes);
        }
    }
}
