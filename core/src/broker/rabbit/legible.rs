//! Makes foreign properties legible, in place and without a change of length. Pure.
//!
//! AMQP's short strings are UTF-8, but the broker takes and delivers any bytes, from whoever may publish; and it takes tables that are nested as deeply
//! as a frame is long. The client library ends the connection over the first and its stack over the second, and the next
//! connection gets the same message: one would stop every worker of its queue for good.

/// How deep tables and lists may be nested. What lies deeper becomes bytes: no service nests headers so deeply.
const DEEPEST: u32 = 64;

/// The properties of a message in the order of their flags, from the highest bit.
const PROPERTIES: [Property; 14] = [
    Property::Text,     // content_type
    Property::Text,     // content_encoding
    Property::Table,    // headers
    Property::Bytes(1), // delivery_mode
    Property::Bytes(1), // priority
    Property::Text,     // correlation_id
    Property::Text,     // reply_to
    Property::Text,     // expiration
    Property::Text,     // message_id
    Property::Bytes(8), // timestamp
    Property::Text,     // type
    Property::Text,     // user_id
    Property::Text,     // app_id
    Property::Text,     // cluster_id
];

#[derive(Debug, Clone, Copy)]
enum Property {
    Text,
    Table,
    Bytes(usize),
}

/// What is left to read of a frame. Each read gives `None` where there is less than it wants.
struct Rest<'a>(&'a mut [u8]);

/// Mends the payload of a content header. `None`: it is none, and is left as it is from there on.
pub(super) fn content_header(payload: &mut [u8]) -> Option<()> {
    let mut rest = Rest(payload);
    // Class, weight, and the size of the body.
    rest.take(12)?;
    let flags = rest.number(2)?;
    for (at, property) in PROPERTIES.into_iter().enumerate() {
        if flags & (0x8000 >> at) == 0 {
            continue;
        }
        match property {
            Property::Text => rest.text()?,
            Property::Table => rest.table(DEEPEST)?,
            Property::Bytes(count) => drop(rest.take(count)?),
        }
    }
    Some(())
}

/// Mends the payload of a method that brings a message: where it was published to is up to its publisher as well.
pub(super) fn method(payload: &mut [u8]) -> Option<()> {
    let mut rest = Rest(payload);
    match (rest.number(2)?, rest.number(2)?) {
        // basic.deliver: the tag of the consumer, the one of the delivery, whether it came before
        (60, 60) => {
            rest.text()?;
            rest.take(9)?;
        }
        // basic.get-ok: the same without a consumer
        (60, 71) => drop(rest.take(9)?),
        _ => return Some(()),
    }
    // The exchange and the routing key.
    rest.text()?;
    rest.text()
}

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Option<&'a mut [u8]> {
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    /// A number of so many bytes, at most four.
    fn number(&mut self, bytes: usize) -> Option<usize> {
        let bytes = self.take(bytes)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// A short string.
    fn text(&mut self) -> Option<()> {
        let length = self.number(1)?;
        legible(self.take(length)?);
        Some(())
    }

    fn table(&mut self, depth: u32) -> Option<()> {
        let length = self.number(4)?;
        let mut entries = Rest(self.take(length)?);
        while !entries.0.is_empty() {
            entries.text()?;
            entries.value(depth)?;
        }
        Some(())
    }

    fn list(&mut self, depth: u32) -> Option<()> {
        let length = self.number(4)?;
        let mut items = Rest(self.take(length)?);
        while !items.0.is_empty() {
            items.value(depth)?;
        }
        Some(())
    }

    fn value(&mut self, depth: u32) -> Option<()> {
        let kind = self.take(1)?.first_mut()?;
        let length = match (*kind, depth) {
            // Bytes have their length before them, as tables and lists have.
            (b'F' | b'A', 0) => {
                *kind = b'x';
                self.number(4)?
            }
            (b'F', _) => return self.table(depth - 1),
            (b'A', _) => return self.list(depth - 1),
            (b'S' | b'x', _) => self.number(4)?,
            (b'V', _) => 0,
            (b't' | b'b' | b'B', _) => 1,
            (b's' | b'U' | b'u', _) => 2,
            (b'I' | b'i' | b'f', _) => 4,
            (b'D', _) => 5,
            (b'l' | b'L' | b'd' | b'T', _) => 8,
            _ => return None,
        };
        self.take(length)?;
        Some(())
    }
}

/// A question mark in the place of each byte that is no text.
fn legible(mut text: &mut [u8]) {
    while let Err(error) = std::str::from_utf8(text) {
        let at = error.valid_up_to();
        let end = error.error_len().map_or(text.len(), |length| at + length);
        text[at..end].fill(b'?');
        text = &mut text[end..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A content header with these flags and properties.
    fn header(flags: u16, properties: &[u8]) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        payload.extend(flags.to_be_bytes());
        payload.extend(properties);
        payload
    }

    fn sized(kind: u8, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).expect("short");
        [&[kind][..], &length.to_be_bytes(), content].concat()
    }

    fn mended(mut payload: Vec<u8>) -> Vec<u8> {
        let length = payload.len();
        assert_eq!(content_header(&mut payload), Some(()));
        assert_eq!(payload.len(), length);
        payload
    }

    #[test]
    fn what_is_text_stays_as_it_is() {
        let inner = sized(b'F', b"\x01lA\0\0\0\x02t\x01");
        let table = ["\u{2}\u{e4}".as_bytes(), b"S\0\0\0\x02\xff\xfe\x01vV\x01t", &inner].concat();
        let table = sized(b'F', &table)[1..].to_vec();
        let properties = [b"\x04j\xc3\xb6b".as_slice(), &table, b"\x02", b"\x02id"].concat();
        let whole = header(0x8000 | 0x2000 | 0x1000 | 0x0080, &properties);
        assert_eq!(mended(whole.clone()), whole);
    }

    #[test]
    fn bytes_that_are_no_text_become_question_marks_in_each_property_and_each_name() {
        let properties = [
            b"\x03a\xffb".as_slice(),
            b"\0\0\0\x09",
            b"\x02\xc3\x28F\0\0\0\x01\0",
            b"\x02\xe2\x82",
        ]
        .concat();
        // The inner table has a name and no value: nothing after it can be read.
        assert_eq!(content_header(&mut header(0x8000 | 0x2000 | 0x0020, &properties)), None);
        let table = [b"\x02\xc3\x28".as_slice(), &sized(b'F', b"\x01\xf0V")].concat();
        let table = sized(b'F', &table)[1..].to_vec();
        let properties = [b"\x03a\xffb".as_slice(), &table, b"\x02\xe2\x82"].concat();
        let expected = [
            b"\x03a?b".as_slice(),
            &table[..4],
            b"\x02?\x28",
            &sized(b'F', b"\x01?V"),
            b"\x02??",
        ]
        .concat();
        assert_eq!(mended(header(0xa020, &properties)), header(0xa020, &expected));
    }

    #[test]
    fn what_is_nested_too_deeply_becomes_bytes() {
        let nested = |levels: usize| {
            (0..levels).fold(Vec::new(), |inner, _| {
                [b"\x01t".as_slice(), &sized(b'F', &inner)].concat()
            })
        };
        let of = |levels| header(0x2000, &sized(b'F', &nested(levels))[1..]);
        let deepest = DEEPEST as usize;
        assert_eq!(mended(of(deepest)), of(deepest));
        let changed = |before: Vec<u8>| {
            let after = mended(before.clone());
            let pairs = before.into_iter().zip(after);
            pairs.filter(|(before, after)| before != after).collect::<Vec<_>>()
        };
        assert_eq!(changed(of(18_000)), [(b'F', b'x')]);
        let lists = (0..20_000).fold(Vec::new(), |inner, _| sized(b'A', &inner));
        let lists = [b"\x01l".as_slice(), &lists].concat();
        assert_eq!(changed(header(0x2000, &sized(b'F', &lists)[1..])), [(b'A', b'x')]);
    }

    #[test]
    fn where_a_delivery_was_published_to_is_made_legible() {
        let mut deliver = [&[0, 60, 0, 60, 1, b'c'][..], &[0; 9], b"\x01\xff\x02k\xfe"].concat();
        assert_eq!(method(&mut deliver), Some(()));
        assert!(deliver.ends_with(b"\x01?\x02k?"));
        let other = vec![0, 20, 0, 11, 0xff];
        let mut same = other.clone();
        assert_eq!(method(&mut same), Some(()));
        assert_eq!(same, other);
    }

    #[test]
    fn what_is_cut_short_is_left_alone() {
        let whole = header(0x8000 | 0x2000, b"\x03abc\0\0\0\x03\x01v");
        for length in 0..whole.len() {
            assert_eq!(content_header(&mut whole[..length].to_vec()), None, "{length}");
        }
    }
}
