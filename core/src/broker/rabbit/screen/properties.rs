//! Whether the client library can read the properties in a content header frame, and what is left of them if not.

use crate::envelope::headers;

/// Class, weight and the body's size.
const FIXED: usize = 12;

/// The bit of the header table among the flags.
const HEADERS: u16 = 1 << 13;

/// How deep tables may be nested. Each level takes some of the client's stack: a frame has room for 26,000.
const MAX_DEPTH: usize = 64;

/// What fits into any frame.
const SMALL: usize = 2_048;

/// The properties in the order in which they stand, from the highest bit down.
const FIELDS: [Kind; 14] = [
    Kind::Text,
    Kind::Text,
    Kind::Table,
    Kind::Bytes(1),
    Kind::Bytes(1),
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Bytes(8),
    Kind::Text,
    Kind::Text,
    Kind::Text,
    Kind::Text,
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    /// A short string, which has to be UTF-8.
    Text,
    Table,
    Bytes(usize),
}

/// The payload of a content header frame without what cannot be read; `None`: all of it can.
pub(crate) fn mended(payload: &[u8]) -> Option<Vec<u8>> {
    let (fixed, rest) = payload.split_at_checked(FIXED)?;
    let (flags, mut rest) = rest.split_first_chunk()?;
    let flags = u16::from_be_bytes(*flags);
    // The two lowest bits are no properties; the lowest would say that more flags follow.
    let mut sound = flags & 0b11 == 0;
    let mut kept = Vec::new();
    for (at, kind) in FIELDS.into_iter().enumerate() {
        let bit = 0x8000 >> at;
        if flags & bit == 0 {
            continue;
        }
        let Some((field, after)) = split(kind, rest) else {
            // Where it ends nobody knows, nor where the next begins.
            sound = false;
            break;
        };
        rest = after;
        match is_sound(kind, field) {
            true => kept.push((bit, field)),
            false => sound = false,
        }
    }
    if sound && rest.is_empty() {
        return None;
    }
    let mended = written(fixed, &kept);
    // The mark must not make a full frame larger than frames may be.
    if mended.len() <= payload.len().max(SMALL) {
        return Some(mended);
    }
    kept.retain(|(bit, _)| *bit != HEADERS);
    Some(written(fixed, &kept))
}

/// The fields, with the mark among the headers.
fn written(fixed: &[u8], kept: &[(u16, &[u8])]) -> Vec<u8> {
    let own = kept.iter().find(|(bit, _)| *bit == HEADERS);
    let table = marked(own.map_or(&[], |(_, table)| &table[4..]));
    let others = kept.iter().copied().filter(|(bit, _)| *bit != HEADERS);
    let mut fields: Vec<(u16, &[u8])> = others.chain([(HEADERS, table.as_slice())]).collect();
    fields.sort_by_key(|(bit, _)| std::cmp::Reverse(*bit));
    let flags = fields.iter().fold(0, |flags, (bit, _)| flags | bit);
    let mut payload = [fixed, &flags.to_be_bytes()].concat();
    payload.extend(fields.iter().flat_map(|(_, field)| *field));
    payload
}

/// A header table of these entries and the mark.
fn marked(entries: &[u8]) -> Vec<u8> {
    let name = headers::UNREADABLE.as_bytes();
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let entries = [entries, &[length], name, b"t\x01"].concat();
    let size = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    [&size.to_be_bytes()[..], &entries].concat()
}

/// One field, its length included, and what follows it.
fn split(kind: Kind, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let length = match kind {
        Kind::Bytes(length) => length,
        Kind::Text => 1 + usize::from(*bytes.first()?),
        Kind::Table => long(bytes)?,
    };
    bytes.split_at_checked(length)
}

/// The length of what has its size in four bytes before it, these included.
fn long(bytes: &[u8]) -> Option<usize> {
    let size = u32::from_be_bytes(*bytes.first_chunk()?);
    usize::try_from(size).ok()?.checked_add(4)
}

fn is_sound(kind: Kind, field: &[u8]) -> bool {
    match kind {
        Kind::Bytes(_) => true,
        Kind::Text => std::str::from_utf8(&field[1..]).is_ok(),
        Kind::Table => entries_are_sound(&field[4..], MAX_DEPTH).is_some(),
    }
}

/// `None`: they are not.
fn entries_are_sound(mut entries: &[u8], depth: usize) -> Option<()> {
    while !entries.is_empty() {
        let (name, rest) = split(Kind::Text, entries)?;
        std::str::from_utf8(&name[1..]).ok()?;
        entries = after_value(rest, depth)?;
    }
    Some(())
}

fn items_are_sound(mut items: &[u8], depth: usize) -> Option<()> {
    while !items.is_empty() {
        items = after_value(items, depth)?;
    }
    Some(())
}

/// What follows a value; `None`: it is of no kind that there is, too long or too deep.
fn after_value(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let (kind, bytes) = bytes.split_first()?;
    let length = match kind {
        b'V' => 0,
        b't' | b'b' | b'B' => 1,
        b's' | b'U' | b'u' => 2,
        b'I' | b'i' | b'f' => 4,
        b'D' => 5,
        b'L' | b'l' | b'd' | b'T' => 8,
        b'S' | b'x' | b'A' | b'F' => long(bytes)?,
        _ => return None,
    };
    let (value, rest) = bytes.split_at_checked(length)?;
    match kind {
        b'A' => items_are_sound(&value[4..], depth.checked_sub(1)?)?,
        b'F' => entries_are_sound(&value[4..], depth.checked_sub(1)?)?,
        _ => {}
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::rabbit::convert;
    use crate::message::{HeaderValue, Properties};
    use lapin::protocol::basic::parse_properties;

    fn payload(flags: u16, fields: &[u8]) -> Vec<u8> {
        [&[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], &flags.to_be_bytes()[..], fields].concat()
    }

    fn table(entries: &[u8]) -> Vec<u8> {
        [&u32::try_from(entries.len()).expect("small").to_be_bytes()[..], entries].concat()
    }

    /// What the client makes of what it is given.
    fn read(payload: &[u8]) -> Properties {
        let mended = mended(payload).unwrap_or_else(|| payload.to_vec());
        let (rest, properties) = parse_properties(&mended[FIXED..]).expect("it can be read");
        assert!(rest.is_empty(), "all of it is properties");
        convert::from_amqp(&properties)
    }

    #[test]
    fn what_can_be_read_is_left_alone() {
        let entries = [b"\x01aI\x00\x00\x00\x01\x01bF".as_slice(), &table(b"\x01cV")].concat();
        let whole = payload(0xa020, &[b"\x01j".as_slice(), &table(&entries), b"\x04mail"].concat());
        assert_eq!(mended(&whole), None);
        assert_eq!(mended(&payload(0, b"")), None);
        assert_eq!(read(&whole).kind.as_deref(), Some("mail"));
    }

    #[test]
    fn what_cannot_be_read_is_left_out_and_the_rest_stays() {
        let good = table(b"\x01aI\x00\x00\x00\x01");
        for (what, flags, fields) in [
            (
                "a text that is not UTF-8",
                0xa020,
                [b"\x01\xff".as_slice(), &good, b"\x04mail"].concat(),
            ),
            (
                "a header's name that is not",
                0x2020,
                [table(b"\x01\xffV").as_slice(), b"\x04mail"].concat(),
            ),
            (
                "a value of no kind",
                0x2020,
                [table(b"\x01az").as_slice(), b"\x04mail"].concat(),
            ),
            (
                "a value that is too long",
                0x2020,
                [table(b"\x01aS\x00\x00\x00\x09").as_slice(), b"\x04mail"].concat(),
            ),
            (
                "bytes behind the last",
                0x2020,
                [good.as_slice(), b"\x04mail..."].concat(),
            ),
            ("flags that follow", 0x2021, [good.as_slice(), b"\x04mail"].concat()),
        ] {
            let properties = read(&payload(flags, &fields));
            assert_eq!(
                properties.headers.get(headers::UNREADABLE),
                Some(&HeaderValue::Bool(true)),
                "{what}"
            );
            assert_eq!(properties.kind.as_deref(), Some("mail"), "{what}");
            let kept = properties.headers.contains_key("a");
            assert_eq!(kept, fields.windows(good.len()).any(|window| window == good), "{what}");
        }
    }

    #[test]
    fn a_full_frame_does_not_grow_by_the_mark() {
        let entries = [b"\x01aS\x00\x01\xf0\x00".as_slice(), &[b'x'; 0x1_f000]].concat();
        let full = payload(0x2020, &[table(&entries).as_slice(), b"\x01\xff"].concat());
        let mended = mended(&full).expect("its `type` is not UTF-8");
        assert!(mended.len() <= full.len());
        assert!(read(&full).headers.contains_key(headers::UNREADABLE));
    }

    #[test]
    fn properties_that_end_too_early_keep_what_came_before() {
        let properties = read(&payload(0x8020, b"\x01j\x09mail"));
        assert_eq!((properties.content_type.as_deref(), properties.kind), (Some("j"), None));
        assert!(properties.headers.contains_key(headers::UNREADABLE));
    }

    #[test]
    fn a_table_as_deep_as_a_frame_allows_costs_no_stack() {
        let mut deep = b"V".to_vec();
        for _ in 0..26_000 {
            // From the inside out would copy all of it for each level.
            deep.extend([0; 5]);
        }
        let total = deep.len();
        for level in 0..26_000usize {
            let size = u32::try_from(total - 5 * (level + 1)).expect("small");
            deep[5 * level] = b'A';
            deep[5 * level + 1..5 * level + 5].copy_from_slice(&size.to_be_bytes());
        }
        deep[total - 1] = b'V';
        let entries = [b"\x01a".as_slice(), &deep].concat();

        let properties = read(&payload(0x2000, &table(&entries)));

        let marked: Vec<_> = properties.headers.keys().map(String::as_str).collect();
        assert_eq!(marked, [headers::UNREADABLE]);
    }
}
