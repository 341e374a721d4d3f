//! Where a delivered message was published to: an exchange and a routing key, which its publisher chose. They are short strings, but the broker
//! delivers any bytes, and the client library ends the connection over what is no UTF-8.

/// Mends the payload of a method frame in place, if it brings a message; its length stays as it is. `None`: it makes no sense, and is
/// for the client library to complain about.
pub(crate) fn mend(payload: &mut [u8]) -> Option<()> {
    let (method, rest) = payload.split_first_chunk_mut::<4>()?;
    let rest = match *method {
        // basic.deliver: the consumer's tag, then the delivery's, and whether it came before
        [0, 60, 0, 60] => {
            let (_, rest) = short(rest)?;
            rest.get_mut(9..)?
        }
        // basic.get-ok: the same without a consumer
        [0, 60, 0, 71] => rest.get_mut(9..)?,
        _ => return Some(()),
    };
    let (exchange, rest) = short(rest)?;
    let (key, _) = short(rest)?;
    legible(exchange);
    legible(key);
    Some(())
}

/// A short string, and what follows it.
fn short(bytes: &mut [u8]) -> Option<(&mut [u8], &mut [u8])> {
    let (length, rest) = bytes.split_first_mut()?;
    rest.split_at_mut_checked(usize::from(*length))
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

    #[test]
    fn where_a_delivery_was_published_to_becomes_text_and_nothing_else_changes() {
        let whole = [&[0, 60, 0, 60, 1, b'c'][..], &[0; 9], b"\x01\xff\x03k\xfe\xc3"].concat();
        let mut deliver = whole.clone();
        assert_eq!(mend(&mut deliver), Some(()));
        assert_eq!(deliver[..15], whole[..15]);
        assert!(deliver.ends_with(b"\x01?\x03k??"), "{deliver:?}");

        let mut got = [&[0, 60, 0, 71][..], &[0; 9], "\u{1}e\u{2}\u{e4}".as_bytes()].concat();
        let before = got.clone();
        assert_eq!(mend(&mut got), Some(()));
        assert_eq!(got, before, "it is text");

        let mut other = vec![0, 20, 0, 11, 0xff];
        assert_eq!(mend(&mut other), Some(()));
        assert_eq!(other, [0, 20, 0, 11, 0xff], "no delivery");
    }

    #[test]
    fn what_is_cut_short_is_left_alone() {
        let whole = [&[0, 60, 0, 60, 1, b'c'][..], &[0; 9], b"\x01\xff\x02k\xfe"].concat();
        for length in 0..whole.len() {
            let mut cut = whole[..length].to_vec();
            assert_eq!(mend(&mut cut), None, "{length}");
            assert_eq!(cut, whole[..length]);
        }
    }
}
