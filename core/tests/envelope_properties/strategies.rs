//! Jobs and messages of every shape.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use leveret::envelope::{Failure, Republish, headers};
use leveret::{HeaderValue, Headers, Job, Message};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Job)]
#[job(queue = "orders")]
pub(crate) struct PlaceOrder {
    pub(crate) note: String,
    pub(crate) coupon: Option<String>,
    pub(crate) payment: Payment,
    pub(crate) amounts: BTreeMap<String, Vec<i64>>,
    pub(crate) price: f64,
    pub(crate) total: u64,
    pub(crate) balance: i64,
    pub(crate) initial: char,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Payment {
    Cash,
    Card(u64),
    Transfer(String, Option<i64>),
    Split { first: Box<Payment>, second: Box<Payment> },
}

pub(crate) fn payment() -> impl Strategy<Value = Payment> {
    let leaf = prop_oneof![
        Just(Payment::Cash),
        any::<u64>().prop_map(Payment::Card),
        (any::<String>(), any::<Option<i64>>()).prop_map(|(to, amount)| Payment::Transfer(to, amount)),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        (inner.clone(), inner).prop_map(|(first, second)| Payment::Split {
            first: first.into(),
            second: second.into(),
        })
    })
}

pub(crate) fn finite() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("JSON has finite numbers only", |number| number.is_finite())
}

pub(crate) fn order() -> impl Strategy<Value = PlaceOrder> {
    let numbers = (finite(), any::<u64>(), any::<i64>(), any::<char>());
    let amounts = btree_map(any::<String>(), vec(any::<i64>(), 0..4), 0..4);
    (any::<String>(), any::<Option<String>>(), payment(), amounts, numbers).prop_map(
        |(note, coupon, payment, amounts, (price, total, balance, initial))| PlaceOrder {
            note,
            coupon,
            payment,
            amounts,
            price,
            total,
            balance,
            initial,
        },
    )
}

pub(crate) fn header_value() -> impl Strategy<Value = HeaderValue> {
    let leaf = prop_oneof![
        Just(HeaderValue::Null),
        any::<bool>().prop_map(HeaderValue::Bool),
        any::<i64>().prop_map(HeaderValue::Int),
        (0i64..10).prop_map(HeaderValue::Int),
        any::<f64>().prop_map(HeaderValue::Float),
        any::<String>().prop_map(HeaderValue::Text),
        any::<Vec<u8>>().prop_map(HeaderValue::Bytes),
        any::<u64>().prop_map(HeaderValue::Timestamp),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(HeaderValue::List),
            btree_map(any::<String>(), inner, 0..4).prop_map(HeaderValue::Table),
        ]
    })
}

/// The names that mean something to Leveret or to the broker, and others.
pub(crate) fn header_name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        headers::ATTEMPT,
        headers::HOP,
        headers::ORIGIN,
        headers::RESENT,
        headers::MAX_ATTEMPTS,
        headers::TIMEOUT_MS,
        headers::FAILURE_REASON,
        headers::FAILURE_ERROR,
        "x-death",
        "x-delivery-count",
        "x-acquired-count",
        "x-opt-delivery-count",
        "x-first-death-queue",
        "x-last-death-reason",
        "CC",
        "BCC",
        "traceparent",
    ]);
    prop_oneof![3 => known.prop_map(str::to_owned), 1 => any::<String>()]
}

pub(crate) fn header_table() -> impl Strategy<Value = Headers> {
    btree_map(header_name(), header_value(), 0..8)
}

pub(crate) fn message() -> impl Strategy<Value = Message> {
    let texts = (option::of(any::<String>()), option::of(any::<String>()));
    (any::<Vec<u8>>(), texts, header_table()).prop_map(|(body, (id, kind), headers)| {
        let mut message = Message {
            body: body.into(),
            ..Message::default()
        };
        message.properties.message_id = id.map(Into::into);
        message.properties.kind = kind.map(Into::into);
        message.properties.headers = headers;
        message
    })
}

pub(crate) fn why() -> impl Strategy<Value = Republish> {
    let at = prop_oneof![
        any::<u32>().prop_map(|secs| UNIX_EPOCH + Duration::from_secs(secs.into())),
        any::<u32>().prop_map(|secs| UNIX_EPOCH - Duration::from_secs(secs.into())),
    ];
    // Far longer than what a header keeps of them.
    let long = "\\PC{0,20}".prop_map(|text| text.repeat(500));
    let failure = (long.clone(), long.clone(), long, at);
    let failure = failure.prop_map(|(error, queue, worker, at): (_, _, _, SystemTime)| Failure {
        reason: "failed",
        error,
        queue,
        worker,
        at,
    });
    prop_oneof![
        Just(Republish::Again),
        failure.clone().prop_map(|failure| Republish::Retry { failure }),
        failure.prop_map(|failure| Republish::DeadLetter { failure }),
    ]
}
