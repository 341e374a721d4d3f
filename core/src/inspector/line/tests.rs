use proptest::prelude::*;

use super::*;
use crate::message::HeaderValue;

fn header() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        any::<f64>()
            .prop_filter("NaN is not itself", |float| !float.is_nan())
            .prop_map(HeaderValue::Float),
        ".{0,20}".prop_map(HeaderValue::Text),
        proptest::collection::vec(any::<u8>(), 0..20).prop_map(HeaderValue::Bytes),
        any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
            proptest::collection::btree_map("[$a-z]{0,4}", inner, 0..4).prop_map(HeaderValue::Table),
        ]
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..60),
        "[ \\n\\r\\t{}\\[\\]\",:0-9a-z]{0,20}".prop_map(String::into_bytes),
        "[a-zäöü\\\\\"\\n]{0,20}".prop_map(|text| serde_json::to_vec(&text).expect("a text")),
        Just(b"null".to_vec()),
        Just(br#"{"a": [1.0e5, null], "a":  2}"#.to_vec()),
    ]
}

proptest! {
    #[test]
    fn what_is_written_is_what_is_read(
        body in body(),
        id in "[!-~]{1,40}",
        texts in proptest::collection::vec(proptest::option::of(".{0,20}"), 6),
        number in proptest::option::of(any::<u8>()),
        headers in proptest::collection::btree_map("[$!-~]{0,10}", header(), 0..6),
    ) {
        let mut letter = Message { body: body.into(), ..Message::default() };
        let mut texts = texts.into_iter();
        let mut text = || texts.next().flatten().map(Into::into);
        letter.properties = Properties {
            message_id: Some(id.into()),
            kind: text(),
            content_type: text(),
            content_encoding: text(),
            correlation_id: text(),
            reply_to: text(),
            app_id: text(),
            timestamp: number.map(|number| u64::MAX - u64::from(number)),
            priority: number,
            headers,
        };
        letter.properties.headers.retain(|name, _| !headers::is_broker_bookkeeping(name));

        let line = write(&letter);

        prop_assert!(!line.contains(['\n', '\r']));
        prop_assert_eq!(read(&line), Ok(letter));
    }

    #[test]
    fn no_text_can_do_any_harm(text in ".{0,200}") {
        prop_assert!(read(&text).is_err());
    }
}

#[test]
fn the_format_is_as_documented() {
    let mut letter = Message {
        body: br#"{"user_id":  7}"#.as_slice().into(),
        ..Message::default()
    };
    letter.properties.message_id = Some("welcome-7".into());
    letter.properties.kind = Some("send_welcome".into());
    letter.properties.timestamp = Some(9);
    for (name, value) in [
        ("leveret-hop", HeaderValue::Int(7)),
        ("at", HeaderValue::Timestamp(5)),
        ("odd", HeaderValue::Float(f64::INFINITY)),
        ("raw", HeaderValue::Bytes(vec![255])),
    ] {
        letter.properties.headers.insert(name.to_owned(), value);
    }

    assert_eq!(
        write(&letter),
        r#"{"leveret_dead_letter":1,"message_id":"welcome-7","type":"send_welcome","properties":{"timestamp":9},"headers":{"at":{"$timestamp":5},"leveret-hop":7,"odd":{"$float":"inf"},"raw":{"$bytes":"/w=="}},"body":{"user_id":  7}}"#
    );
    letter.body = b"\xff".as_slice().into();
    assert!(write(&letter).ends_with(r#","body_base64":"/w=="}"#));
}

#[test]
fn the_broker_s_record_becomes_one_of_ours() {
    let death = HeaderValue::Table(
        [
            ("queue".to_owned(), HeaderValue::from("mail")),
            ("reason".to_owned(), HeaderValue::from("delivery_limit")),
            ("time".to_owned(), HeaderValue::Timestamp(3)),
        ]
        .into(),
    );
    let mut letter = Message::default();
    letter
        .properties
        .headers
        .insert("x-death".to_owned(), HeaderValue::List(vec![death]));
    letter
        .properties
        .headers
        .insert("x-first-death-queue".to_owned(), "mail".into());

    let read = read(&write(&letter)).expect("own output");

    let table = &read.properties.headers;
    assert_eq!(table[headers::FAILURE_REASON], "delivery_limit".into());
    assert_eq!(table[headers::FAILURE_AT], HeaderValue::Int(3_000));
    assert!(table.keys().all(|name| !name.starts_with("x-")));
    assert!(read.properties.message_id.is_some_and(|id| !id.is_empty()));
}

#[test]
fn a_line_that_is_none_says_what_is_wrong_and_not_what_is_in_it() {
    for (line, expected) in [
        ("secret", "not a line of JSON"),
        (r#"{"secret":1}"#, "lacks"),
        (r#"{"leveret_dead_letter":2,"message_id":"a","body":1}"#, "version 2"),
        (r#"{"leveret_dead_letter":1,"message_id":"","body":1}"#, "`message_id`"),
        (r#"{"leveret_dead_letter":1,"message_id":"a"}"#, "either"),
        (
            r#"{"leveret_dead_letter":1,"message_id":"a","body":1,"body_base64":""}"#,
            "either",
        ),
        (
            r#"{"leveret_dead_letter":1,"message_id":"a","body_base64":"secret!"}"#,
            "not base64",
        ),
        (
            r#"{"leveret_dead_letter":1,"message_id":"a","body":1,"headers":{"a":{"$secret":1}}}"#,
            "`headers`",
        ),
        (
            r#"{"leveret_dead_letter":1,"message_id":"a","body":1,"headers":{"a":18446744073709551615}}"#,
            "larger",
        ),
    ] {
        let fault = read(line).expect_err(line);
        assert!(fault.contains(expected), "{line}: {fault}");
    }
}
