//! Inputs that get further than random bytes would: put together from the pieces of what is parsed.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Pieces in any order.
fn pieces(known: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    let piece = prop_oneof![5 => select(known).prop_map(str::to_owned), 1 => "\\PC{0,4}"];
    vec(piece, 0..most).prop_map(|pieces| pieces.concat())
}

/// Broker URLs, a line break where the password is.
pub(crate) fn urls() -> impl Strategy<Value = String> {
    let rest = pieces(
        &[
            "\n",
            "\n",
            "user",
            ":",
            ":",
            "@",
            "@",
            "/",
            "/",
            "?",
            "&",
            "=",
            "#",
            "%2F",
            "%",
            "%0",
            "%ff",
            "%00",
            ",",
            "[",
            "]",
            "[::1]",
            "h",
            "h:5673",
            ":0",
            "heartbeat=5",
            "heartbeat=",
            "connection_name=",
            "connection_timeout=1",
            "cacertfile=",
            "verify=verify_peer",
            "server_name_indication=",
            "certfile=a&keyfile=b",
            "vhost",
        ],
        12,
    );
    let scheme = select(
        &[
            "amqp://",
            "amqps://",
            "memory://",
            "AMQP://",
            "amqp:/",
            "http://",
            "amqp://user:\n@",
            "amqp://user:\n@h/",
        ][..],
    );
    (scheme, rest).prop_map(|(scheme, rest)| format!("{scheme}{rest}"))
}

/// Histories of attempts, whole or not.
pub(crate) fn histories() -> impl Strategy<Value = String> {
    let attempt = (any::<i64>(), "\\PC{0,20}", 0usize..40, any::<u64>()).prop_map(|(attempt, text, times, at)| {
        let text = serde_json::to_string(&text.repeat(times)).expect("a text");
        format!(
            "{{\"attempt\":{},\"reason\":\"failed\",\"error\":{text},\"at\":{at}}}",
            attempt.rem_euclid(9)
        )
    });
    vec(attempt, 0..80).prop_map(|attempts| format!("[{}]", attempts.join(",")))
}

/// Exported letters, with fields left out, changed and doubled.
pub(crate) fn lines() -> impl Strategy<Value = String> {
    let field = select(
        &[
            "\"leveret_dead_letter\":1",
            "\"leveret_dead_letter\":2",
            "\"message_id\":\"welcome-7\"",
            "\"message_id\":\"\"",
            "\"type\":\"welcome\"",
            "\"type\":\"s3cret-mark\"",
            "\"body\":{\"user_id\":7}",
            "\"body\":s3cret-mark",
            "\"body_base64\":\"Zm9v\"",
            "\"body_base64\":\"s3cret-mark\"",
            "\"properties\":{\"priority\":300}",
            "\"properties\":{\"timestamp\":1,\"app_id\":\"s3cret-mark\"}",
            "\"headers\":{\"leveret-hop\":7,\"leveret-attempt\":\"s3cret-mark\"}",
            "\"headers\":{\"a\":{\"$bytes\":\"s3cret-mark\"}}",
            "\"headers\":{\"a\":{\"$float\":\"NaN\"},\"b\":{\"$table\":{\"$x\":1}}}",
            "\"headers\":{\"a\":[1,-0.0,1e300,{\"$timestamp\":18446744073709551615}]}",
            "\"headers\":{\"a\":18446744073709551615}",
            "\"headers\":{\"CC\":[\"mail\"],\"x-death\":[{\"count\":3}]}",
        ][..],
    );
    let good = Just("\"leveret_dead_letter\":1,\"message_id\":\"welcome-7\"".to_owned());
    let line = (
        prop_oneof![4 => good, 1 => Just(String::new())],
        vec(field, 0..4),
        any::<bool>(),
    );
    let line = line.prop_map(|(head, fields, whole)| {
        let all: Vec<_> = std::iter::once(head.as_str())
            .chain(fields)
            .filter(|field| !field.is_empty())
            .collect();
        format!("{{{}{}", all.join(","), if whole { "}" } else { "" })
    });
    vec(prop_oneof![8 => line, 1 => any::<String>()], 0..4).prop_map(|lines| lines.join("\n"))
}

/// The properties of a content header frame: flags, and then fields with lengths that mostly fit.
pub(crate) fn fields() -> impl Strategy<Value = Vec<u8>> {
    let table = vec(
        (select(b"tbBsuIilLfdDSATFxV\xff".as_slice()), vec(any::<u8>(), 0..12)),
        0..6,
    )
    .prop_map(|entries| {
        let entries = entries.into_iter().flat_map(|(kind, bytes)| {
            let mut entry = vec![1, b'a', kind];
            if matches!(kind, b'S' | b'A' | b'F' | b'x') {
                entry.extend((bytes.len() as u32).to_be_bytes());
            }
            entry.extend(bytes);
            entry
        });
        let entries: Vec<u8> = entries.collect();
        [&(entries.len() as u32).to_be_bytes()[..], &entries].concat()
    });
    let texts = vec("\\PC{0,8}", 8).prop_map(|texts| {
        let texts = texts
            .into_iter()
            .flat_map(|text| [&[text.len() as u8][..], text.as_bytes()].concat());
        texts.collect::<Vec<u8>>()
    });
    // Headers alone, headers and texts, texts alone.
    (select(&[0x2000u16, 0x2480, 0x20fc, 0x84f8, 0x3c00][..]), table, texts).prop_map(|(flags, table, texts)| {
        let table = if flags & 0x2000 == 0 { Vec::new() } else { table };
        [&flags.to_be_bytes()[..], &table, &texts].concat()
    })
}
