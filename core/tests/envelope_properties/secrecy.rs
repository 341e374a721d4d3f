//! What is in a job never shows in errors and debug output.

use std::collections::BTreeMap;

use leveret::envelope::{Incoming, Limits};
use leveret::{Envelope, HeaderValue, Headers};
use proptest::option;
use proptest::prelude::*;

use crate::strategies::{Payment, PlaceOrder};

/// Stands for a customer's data.
const MARKER: &str = "MARKER4711";

pub(crate) fn cash() -> PlaceOrder {
    PlaceOrder {
        note: MARKER.to_owned(),
        coupon: Some(MARKER.to_owned()),
        payment: Payment::Transfer(MARKER.to_owned(), None),
        amounts: BTreeMap::from([(MARKER.to_owned(), vec![1])]),
        price: 1.0,
        total: 1,
        balance: 1,
        initial: 'c',
    }
}

/// A good body, spoilt: a field's value replaced by the marker in some form, then cut or with a byte changed.
fn spoilt_body() -> impl Strategy<Value = Vec<u8>> {
    let fields = [
        "note", "coupon", "payment", "amounts", "price", "total", "balance", "initial",
    ];
    let wrong = [
        format!("\"{MARKER}\""),
        format!("[\"{MARKER}\"]"),
        format!("{{\"{MARKER}\":\"{MARKER}\"}}"),
        MARKER.to_owned(),
        "4711".to_owned(),
    ];
    let spoilt = (
        prop::sample::select(fields.to_vec()),
        prop::sample::select(wrong.to_vec()),
    );
    (
        spoilt,
        option::of(any::<prop::sample::Index>()),
        option::of(any::<(prop::sample::Index, u8)>()),
    )
        .prop_map(|((field, wrong), cut, changed)| {
            let good = serde_json::to_value(cash()).expect("plain data");
            let value = good[field].to_string();
            let good = good.to_string();
            let mut body = good
                .replace(&format!("\"{field}\":{value}"), &format!("\"{field}\":{wrong}"))
                .into_bytes();
            if let Some((at, byte)) = changed {
                let at = at.index(body.len());
                body[at] = byte;
            }
            if let Some(cut) = cut {
                let end = cut.index(body.len());
                body.truncate(end);
            }
            body
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_error_about_a_body_does_not_quote_it(body in spoilt_body()) {
        if let Err(error) = Incoming::job::<PlaceOrder>(&body) {
            prop_assert!(!format!("{error} {error:?}").contains(MARKER), "{error:?}");
        }
    }
}

#[test]
fn debug_output_and_errors_of_an_envelope_do_not_show_the_job() {
    let envelope = Envelope::new(cash()).expect("serializable");
    let message = envelope.to_message(&Limits::default()).expect("small");
    let mut small = Limits::default();
    small.max_body = 1;

    let refused = envelope.to_message(&small).expect_err("too small a limit");
    let nested = HeaderValue::Table(Headers::from([("n".repeat(256), MARKER.into())]));
    let header = envelope
        .clone()
        .with_header("tenant", nested)
        .expect_err("too long a name");

    for shown in [
        format!("{envelope:?}"),
        format!("{message:?}"),
        format!("{refused} {refused:?}"),
        format!("{header} {header:?}"),
    ] {
        assert!(!shown.contains(MARKER), "{shown}");
    }
    assert!(
        serde_json::to_string(&envelope).expect("plain data").contains(MARKER),
        "the marker is in the job"
    );
}
