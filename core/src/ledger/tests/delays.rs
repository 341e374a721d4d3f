//! Jobs that wait: one line for each queue, and a way that is found anew.

use super::*;

/// A job for `mail` that is due at a time since the Unix epoch, as it was sent off at the epoch.
fn delayed(desk: &mut Desk, id: &str, due: Duration) -> u64 {
    let mut message = Message::default();
    message.properties.message_id = Some(id.into());
    let millis = i64::try_from(due.as_millis()).expect("soon");
    message
        .properties
        .headers
        .insert(headers::DUE.to_owned(), millis.into());
    desk.ledger.accept(Entry::new(NewEntry {
        id: JobId::new(id).expect("valid"),
        target: crate::topology::Topology::new("leveret").delayed(&crate::queue::Queue::new("mail"), due),
        message,
        deadline: FAR,
        waiter: id.to_owned(),
    }))
}

/// Sends the next and tells by which exchange.
fn next_exchange(desk: &mut Desk) -> String {
    let (_, destination, _) = desk.ledger.next_to_send().expect("due");
    destination.exchange.clone()
}

#[test]
fn whatever_the_delays_what_they_need_is_declared_once() {
    let mut desk = Desk::declaring();
    for (id, seconds) in [("a", 1), ("b", 60), ("c", 3_600)] {
        delayed(&mut desk, id, Duration::from_secs(seconds));
    }
    assert_eq!(desk.declare_all(&Ok(())), 1);
    assert_eq!(desk.send(), ["a", "b", "c"]);
}

#[test]
fn a_delayed_job_is_due_when_it_is_due_however_often_it_is_sent() {
    let mut desk = Desk::new();
    let seconds = Duration::from_secs;
    delayed(&mut desk, "a", seconds(100));
    assert_eq!(desk.declare_all(&Ok(())), 1, "its queue is looked at in every mode");
    for (date, exchange) in [
        (0, "leveret.delay.v1.09"),
        (60, "leveret.delay.v1.08"),
        (99, "leveret.delay.v1.03"),
        (100, ""),
        (200, ""),
    ] {
        desk.ledger.tell_date(seconds(date));
        assert_eq!(next_exchange(&mut desk), exchange, "at {date}");
        desk.lose(BrokerErrorKind::Transport);
    }
}
