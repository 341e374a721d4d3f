//! Declarations: equal, different, senseless.

use leveret::broker::{Argument, BrokerError, BrokerErrorKind, Declaration, ExchangeKind, Health};

use crate::fixture::{Fixture, unique};
use crate::steps::{
    binding, connect, declare, exchange, exchange_before, exchange_binding, queue, quorum, text, with_queue,
};

async fn refused(fixture: &dyn Fixture, declaration: Declaration) -> BrokerError {
    let (index, error) = connect(fixture).await.declare(&[declaration]).await.unwrap_err();
    assert_eq!(index, 0);
    error
}

fn assert_says(error: &BrokerError, kind: BrokerErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "no {word:?} in: {error}");
    }
}

pub(crate) async fn an_equal_declaration_is_accepted_again(fixture: &dyn Fixture) {
    // Given an exchange, a queue and a binding
    let session = connect(fixture).await;
    let (name, source) = (unique("queue"), unique("exchange"));
    let limit = || {
        [
            ("x-delivery-limit", Argument::Int(9)),
            ("x-dead-letter-exchange", text("graves")),
        ]
    };
    let all = [
        exchange_before(&source, ExchangeKind::Topic, Some("elsewhere")),
        quorum(&name, limit()),
        binding(&source, "a.*", &name),
    ];
    declare(&*session, all.clone()).await;

    // When they are declared again, on this and another session, then nothing is wrong
    declare(&*session, all.clone()).await;
    declare(&*connect(fixture).await, all).await;
}

pub(crate) async fn a_different_queue_is_a_mismatch_that_names_what_differs(fixture: &dyn Fixture) {
    // Given a queue with a limit
    let session = connect(fixture).await;
    let name = unique("queue");
    declare(&*session, [quorum(&name, [("x-delivery-limit", Argument::Int(100))])]).await;

    // When it is declared with another one, then the error tells all three: where, what is there, what was wanted
    let other = refused(fixture, quorum(&name, [("x-delivery-limit", Argument::Int(5))])).await;
    let expected = format!(
        "PRECONDITION_FAILED - inequivalent arg 'x-delivery-limit' for queue '{name}' in vhost '/': \
         received '5' but current is '100'"
    );
    assert_says(&other, BrokerErrorKind::Mismatch, &[&expected]);
    let graves = [("x-dead-letter-exchange", text("graves"))];
    let buried = unique("queue");
    declare(&*session, [queue(&buried, graves)]).await;
    let other = refused(fixture, queue(&buried, [("x-dead-letter-exchange", text("heaven"))])).await;
    assert_says(
        &other,
        BrokerErrorKind::Mismatch,
        &["received 'heaven' but current is 'graves'"],
    );
    let classic = refused(fixture, queue(&name, [])).await;
    let expected = "'x-queue-type' for queue";
    let values = match fixture.version().await.names_the_default_queue_type() {
        false => "received none but current is the value 'quorum' of type 'longstr'",
        true => "received 'classic' but current is 'quorum'",
    };
    assert_says(&classic, BrokerErrorKind::Mismatch, &[&name, expected, values]);
}

pub(crate) async fn classic_is_the_kind_of_a_queue_that_names_none(fixture: &dyn Fixture) {
    // Given one queue that says that it is classic, and one that says nothing
    let session = connect(fixture).await;
    let (silent, named) = (unique("silent"), unique("named"));
    let classic = || [("x-queue-type", text("classic"))];
    declare(&*session, [queue(&silent, []), queue(&named, classic())]).await;

    // When each is declared the other way, then they are the same
    declare(&*session, [queue(&silent, classic()), queue(&named, [])]).await;
}

pub(crate) async fn a_missing_argument_is_a_mismatch_as_well(fixture: &dyn Fixture) {
    // Given a queue with a dead-letter exchange
    let session = connect(fixture).await;
    let name = unique("queue");
    declare(&*session, [quorum(&name, [("x-dead-letter-exchange", text("graves"))])]).await;

    // When it is declared without, or with more, then both are refused
    let less = refused(fixture, quorum(&name, [])).await;
    let expected = "received none but current is the value 'graves' of type 'longstr'";
    assert_says(
        &less,
        BrokerErrorKind::Mismatch,
        &["'x-dead-letter-exchange'", expected],
    );
    let both = [
        ("x-dead-letter-exchange", text("graves")),
        ("x-max-length", Argument::Int(3)),
    ];
    let more = refused(fixture, quorum(&name, both)).await;
    let expected = "received the value '3' of type 'long' but current is none";
    assert_says(&more, BrokerErrorKind::Mismatch, &["'x-max-length'", expected]);
}

pub(crate) async fn a_different_exchange_is_a_mismatch(fixture: &dyn Fixture) {
    // Given a direct exchange
    let session = connect(fixture).await;
    let name = unique("exchange");
    declare(&*session, [exchange(&name, ExchangeKind::Direct)]).await;

    // When it is declared with another kind or another alternate, then the error names what differs
    let kind = refused(fixture, exchange(&name, ExchangeKind::Fanout)).await;
    let expected = format!(
        "PRECONDITION_FAILED - inequivalent arg 'type' for exchange '{name}' in vhost '/': \
         received 'fanout' but current is 'direct'"
    );
    assert_says(&kind, BrokerErrorKind::Mismatch, &[&expected]);
    let alternate = refused(fixture, exchange_before(&name, ExchangeKind::Direct, Some("other"))).await;
    let expected = "received the value 'other' of type 'longstr' but current is none";
    assert_says(
        &alternate,
        BrokerErrorKind::Mismatch,
        &["'alternate-exchange'", expected],
    );
}

pub(crate) async fn arguments_that_the_broker_does_not_know_are_not_compared(fixture: &dyn Fixture) {
    // Given a queue with an argument that means nothing
    let session = connect(fixture).await;
    let name = unique("queue");
    declare(&*session, [quorum(&name, [("x-hare", Argument::Int(1))])]).await;

    // When it is declared with another one and without, then nobody minds
    declare(&*session, [quorum(&name, [("x-hare", Argument::Int(2))])]).await;
    declare(&*session, [quorum(&name, [])]).await;
}

pub(crate) async fn declaring_stops_at_the_first_failure_and_says_which(fixture: &dyn Fixture) {
    // Given a queue
    let (session, there) = with_queue(fixture).await;
    let (before, after) = (unique("before"), unique("after"));

    // When three are declared of which the second is refused
    let declarations = [quorum(&before, []), queue(&there, []), quorum(&after, [])];
    let (index, error) = session.declare(&declarations).await.unwrap_err();

    // Then the first is there and the third is not
    assert_eq!(index, 1);
    assert_eq!(error.kind(), BrokerErrorKind::Mismatch, "{error}");
    session.inspect(&before).await.unwrap();
    session.inspect(&after).await.unwrap_err();
}

pub(crate) async fn a_binding_needs_its_queue_and_its_exchange(fixture: &dyn Fixture) {
    // Given a queue and an exchange
    let (session, there) = with_queue(fixture).await;
    let (source, missing) = (unique("exchange"), unique("missing"));
    declare(&*session, [exchange(&source, ExchangeKind::Direct)]).await;

    // When one of the two is missing, then the error names it
    let no_queue = refused(fixture, binding(&source, "key", &missing)).await;
    assert_says(&no_queue, BrokerErrorKind::NotFound, &[&missing, "no queue"]);
    let no_exchange = refused(fixture, binding(&missing, "key", &there)).await;
    assert_says(&no_exchange, BrokerErrorKind::NotFound, &[&missing, "no exchange"]);
}

pub(crate) async fn a_binding_of_an_exchange_needs_both_and_is_accepted_again(fixture: &dyn Fixture) {
    // Given two exchanges
    let session = connect(fixture).await;
    let (source, there, missing) = (unique("source"), unique("there"), unique("missing"));
    let both = [&source, &there].map(|name| exchange(name, ExchangeKind::Topic));
    declare(&*session, both).await;

    // When one is missing, then the error names it
    for declaration in [
        exchange_binding(&source, "key", &missing),
        exchange_binding(&missing, "key", &there),
    ] {
        let error = refused(fixture, declaration).await;
        assert_says(&error, BrokerErrorKind::NotFound, &[&missing, "no exchange"]);
    }

    // When both are there, then it may be said twice
    for _ in 0..2 {
        declare(&*session, [exchange_binding(&source, "key", &there)]).await;
    }
}

pub(crate) async fn reserved_names_are_refused(fixture: &dyn Fixture) {
    let (session, there) = with_queue(fixture).await;
    for declaration in [
        quorum("amq.mine", []),
        exchange("amq.mine", ExchangeKind::Direct),
        exchange("", ExchangeKind::Direct),
        binding("", "key", &there),
        exchange_binding("", "key", "amq.topic"),
        exchange_binding("amq.topic", "key", ""),
    ] {
        let (_, error) = session.declare(&[declaration]).await.unwrap_err();
        assert_eq!(error.kind(), BrokerErrorKind::Permission, "{error}");
    }
}

pub(crate) async fn arguments_that_make_no_sense_are_refused(fixture: &dyn Fixture) {
    let name = unique("queue");
    let session = connect(fixture).await;
    let mut accepted: Vec<Declaration> = Vec::new();
    for declaration in [
        quorum(&name, [("x-dead-letter-routing-key", text("key"))]),
        quorum(&name, [("x-max-length", Argument::Int(-1))]),
        quorum(&name, [("x-max-length", text("many"))]),
        quorum(&name, [("x-message-ttl", Argument::Int(-1))]),
        quorum(&name, [("x-message-ttl", text("long"))]),
        quorum(&name, [("x-dead-letter-strategy", text("hopefully"))]),
        quorum(&name, [("x-overflow", text("shout"))]),
        quorum(&name, [("x-max-priority", Argument::Int(5))]),
        queue(&name, [("x-queue-type", text("warren"))]),
        queue(&name, [("x-delivery-limit", Argument::Int(5))]),
        queue(&name, [("x-dead-letter-strategy", text("at-least-once"))]),
    ] {
        match session.declare(std::slice::from_ref(&declaration)).await {
            Ok(()) => {
                accepted.push(declaration);
                fixture.delete_queue(&name).await;
            }
            Err((_, error)) => {
                assert_eq!(error.kind(), BrokerErrorKind::Mismatch, "{declaration:?}: {error}");
                assert!(error.is_our_doing());
            }
        }
    }
    assert_eq!(accepted, []);
}

pub(crate) async fn the_session_lives_on_after_a_refused_declaration(fixture: &dyn Fixture) {
    // Given a refused declaration
    let (session, there) = with_queue(fixture).await;
    session.declare(&[queue(&there, [])]).await.unwrap_err();

    // When the session is used, then it works
    declare(&*session, [quorum(&unique("queue"), [])]).await;
    assert_eq!(*session.health().borrow(), Health::Open);
}
