use super::*;
use crate::rabbit::Rabbit;

fn letter(headers: &[(&str, HeaderValue)]) -> Message {
    let mut message = Message {
        body: b"\xff{}".as_slice().into(),
        ..Message::default()
    };
    message.properties.message_id = Some("7".into());
    let named = headers.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    message.properties.headers = named.collect();
    message
}

fn died(queue: &str, routing_key: &str) -> (&'static str, HeaderValue) {
    let keys = HeaderValue::List(vec![routing_key.into()]);
    let death = [
        ("queue".to_owned(), queue.into()),
        ("reason".to_owned(), "expired".into()),
        ("routing-keys".to_owned(), keys),
    ];
    ("x-death", HeaderValue::List(vec![HeaderValue::Table(death.into())]))
}

fn lost() -> Source {
    Source::lost(&Rabbit::start("memory://redrive-plan").expect("in memory"))
}

fn planned(letter: &Message, source: &Source, rules: &Rules, wait: Duration) -> Result<Plan, Refusal> {
    let record = DeadLetterRecord::read(letter);
    plan(
        (&record, letter),
        source,
        (rules, wait),
        UNIX_EPOCH + Duration::from_secs(9),
    )
}

#[tokio::test]
async fn the_way_back_keeps_the_job_and_counts_what_is_to_be_counted() {
    // Given a letter with a history of its own, and the broker's records
    let letter = letter(&[
        (headers::ATTEMPT, HeaderValue::Int(5)),
        (headers::HOP, HeaderValue::Int(4)),
        (headers::REDRIVEN, HeaderValue::Int(1)),
        (headers::FAILURE_ERROR, "no mailbox".into()),
        (headers::DUE, HeaderValue::Int(1)),
        (headers::EXPIRES, HeaderValue::Int(9_000)),
        (headers::SUSPECT, HeaderValue::Int(3)),
        ("tenant", "eu".into()),
        died("mail", "mail"),
    ]);
    let source = Source {
        work: Some(Queue::new("mail")),
        ..lost()
    };

    // When it is sent back, at once and later
    let now = planned(&letter, &source, &Rules::default(), Duration::ZERO).expect("it can go");
    let later = planned(&letter, &source, &Rules::default(), Duration::from_secs(1)).expect("it can go");

    // Then body, id and headers are as they were, except what counts
    assert_eq!(
        (now.message.body.clone(), now.queue.as_str()),
        (letter.body.clone(), "mail")
    );
    let table = &now.message.properties.headers;
    let count = |name: &str| table.get(name).and_then(HeaderValue::as_int);
    assert_eq!(now.message.properties.message_id.as_deref(), Some("7"));
    assert_eq!((count(headers::ATTEMPT), count(headers::HOP)), (Some(1), Some(5)));
    assert_eq!((count(headers::REDRIVEN), count(headers::DUE)), (Some(2), None));
    assert_eq!(table[headers::FAILURE_ERROR], "no mailbox".into());
    assert_eq!(table["tenant"], "eu".into());
    for gone in ["x-death", headers::EXPIRES, headers::SUSPECT] {
        assert!(!table.contains_key(gone), "{gone}");
    }
    assert_eq!(*now.target.destination, Destination::queue("mail"));
    // And what waits goes up the ladder, and says when it is due
    assert_eq!(later.message.properties.headers[headers::DUE], HeaderValue::Int(10_000));
    assert_eq!(
        Route::of(&later.target.destination).map(|route| route.queue()),
        Some("mail".to_owned())
    );
}

#[tokio::test]
async fn a_lost_letter_goes_where_it_says_that_it_belongs() {
    let source = lost();
    let far = source
        .topology
        .delayed(&Queue::new("eu.mail"), Duration::from_secs(1))
        .destination;
    for (headers, expected) in [
        (vec![died("mail", "mail")], Some("mail")),
        (vec![died(&far.exchange, &far.routing_key)], Some("eu.mail")),
        (
            vec![died("mail.due", "x"), (headers::ORIGIN, "mail".into())],
            Some("mail"),
        ),
        (
            vec![
                (headers::FAILURE_QUEUE, "mail".into()),
                (headers::ORIGIN, "post".into()),
            ],
            Some("mail"),
        ),
        (vec![(headers::ORIGIN, "post".into())], Some("post")),
        (vec![], None),
    ] {
        let planned = planned(&letter(&headers), &source, &Rules::default(), Duration::ZERO);
        assert_eq!(planned.ok().map(|plan| plan.queue).as_deref(), expected, "{headers:?}");
    }
}

#[tokio::test]
async fn what_cannot_or_should_not_go_back_says_why() {
    let (source, rules) = (lost(), Rules::default());
    let wait = Duration::from_secs(1);
    let often = letter(&[
        (headers::REDRIVEN, MAX_REDRIVES.into()),
        (headers::ORIGIN, "mail".into()),
    ]);
    let forced = Rules {
        force: true,
        ..Rules::default()
    };
    let mut odd = letter(&[(headers::ORIGIN, "mail".into())]);
    odd.properties.message_id = Some("two\nlines".into());

    let too_often = planned(&often, &source, &rules, Duration::ZERO).map(drop);
    assert_eq!(too_often, Err(Refusal::TooOften { times: MAX_REDRIVES }));
    assert!(planned(&often, &source, &forced, Duration::ZERO).is_ok());
    let queue = "mail".to_owned();
    let unknown = planned(&often, &source, &forced, wait).map(drop);
    assert_eq!(unknown, Err(Refusal::UnknownQueue { queue }));
    let unsendable = planned(&odd, &source, &rules, Duration::ZERO).map(drop);
    assert!(matches!(unsendable, Err(Refusal::Unsendable(_))));
}

#[tokio::test]
async fn an_expiry_that_ends_while_the_job_waits_is_forgotten() {
    // Given letters that expire one and three seconds from now
    let source = Source {
        work: Some(Queue::new("mail")),
        ..lost()
    };
    for (expires, kept) in [(10_000, [true, false]), (12_000, [true, true])] {
        let letter = letter(&[(headers::EXPIRES, HeaderValue::Int(expires))]);
        // When they are sent back at once, and to wait for two seconds
        let keeps = [0, 2].map(|wait| {
            let plan = planned(&letter, &source, &Rules::default(), Duration::from_secs(wait)).expect("it can go");
            plan.message.properties.headers.contains_key(headers::EXPIRES)
        });
        // Then they keep it where it does not end before they arrive
        assert_eq!(keeps, kept, "{expires}");
    }
}

#[tokio::test]
async fn what_waits_leaves_room_for_what_the_ladder_writes() {
    // Given a letter whose error's text makes it fit a frame, and no more than that
    let error = HeaderValue::from("x".repeat(DEFAULT_FRAME_MAX - 1_000).as_str());
    let letter = letter(&[(headers::ORIGIN, "mail".into()), (headers::FAILURE_ERROR, error)]);
    let source = Source {
        work: Some(Queue::new("mail")),
        ..lost()
    };

    // When it is sent back at once, then the text goes with it; when it waits, it does not
    for (wait, most) in [(0, DEFAULT_FRAME_MAX), (1, MAX_DELAYED_HEADER)] {
        let plan = planned(&letter, &source, &Rules::default(), Duration::from_secs(wait)).expect("it can go");
        let whole = plan.message.properties.headers.contains_key(headers::FAILURE_ERROR);
        assert_eq!((whole, plan.message.header_size() <= most), (wait == 0, true));
    }
}

#[tokio::test]
async fn letters_without_an_id_become_different_jobs() {
    let mut letter = letter(&[(headers::ORIGIN, "mail".into())]);
    letter.properties.message_id = None;
    let id = || {
        let plan = planned(&letter, &lost(), &Rules::default(), Duration::ZERO).expect("it can go");
        plan.message.properties.message_id.expect("it has one now")
    };
    assert_ne!(id(), id());
}
