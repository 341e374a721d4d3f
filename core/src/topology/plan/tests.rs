//! What every queue gets, argument by argument.

use super::*;

fn arguments_of(declarations: &[Declaration], wanted: &str) -> Arguments {
    let mut queues = declarations.iter().filter_map(|declaration| match declaration {
        Declaration::Queue(queue) if queue.name == wanted => Some(queue.arguments.clone()),
        _ => None,
    });
    queues.next().expect("declared")
}

#[test]
fn a_work_queue_loses_nothing_by_overflow_crash_or_dead_lettering() {
    let plan = Topology::new("leveret").declarations(&Queue::new("mail").max_length(9));
    let arguments = arguments_of(&plan, "mail");
    for (name, value) in [
        ("x-queue-type", text("quorum")),
        ("x-overflow", text("reject-publish")),
        ("x-dead-letter-exchange", text("leveret.dead")),
        ("x-dead-letter-routing-key", text("mail")),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-delivery-limit", Argument::Int(100)),
        ("x-max-length", Argument::Int(9)),
    ] {
        assert_eq!(arguments.get(name), Some(&value), "{name}");
    }
}

#[test]
fn due_jobs_of_a_queue_with_a_length_limit_go_beside_it() {
    let (topology, bounded) = (Topology::new("leveret"), Queue::new("mail").max_length(9));
    let plan = topology.declarations(&bounded);
    let (mut work, due) = (arguments_of(&plan, "mail"), arguments_of(&plan, "mail.due"));
    assert_eq!(work.remove("x-max-length"), Some(Argument::Int(9)));
    assert_eq!(work, due);
    assert_eq!(*topology.due(&bounded).destination, Destination::queue("mail.due"));
    let delayed = topology.delayed(&bounded, Duration::from_secs(1));
    assert!(delayed.destination.routing_key.ends_with(".mail\u{1f}due"));
    assert_eq!(topology.due(&Queue::new("mail")), topology.work(&Queue::new("mail")));
}

#[test]
fn queues_that_keep_messages_can_be_browsed_for_ever() {
    let plan = Topology::new("leveret").declarations(&Queue::new("mail"));
    for name in ["mail.dead", "leveret.lost"] {
        assert_eq!(
            arguments_of(&plan, name)["x-delivery-limit"],
            Argument::Int(2_147_483_647),
            "{name}"
        );
    }
}

#[test]
fn suspects_are_in_one_worker_at_a_time_and_dead_letter_to_their_work_queues_dead() {
    for queue in [Queue::new("mail"), Queue::new("mail").classic()] {
        let arguments = arguments_of(&Topology::new("leveret").declarations(&queue), "mail.suspect");
        for (name, value) in [
            ("x-queue-type", text("quorum")),
            (SINGLE_ACTIVE_CONSUMER, Argument::Bool(true)),
            ("x-delivery-limit", Argument::Int(2_147_483_647)),
            ("x-dead-letter-exchange", text("leveret.dead")),
            ("x-dead-letter-routing-key", text("mail")),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ] {
            assert_eq!(arguments.get(name), Some(&value), "{name}");
        }
    }
}

#[test]
fn a_classic_queue_gets_only_what_it_understands() {
    let plan = Topology::new("leveret").declarations(&Queue::new("mail").classic());
    let arguments = arguments_of(&plan, "mail");
    assert!(!arguments.contains_key("x-delivery-limit") && !arguments.contains_key("x-dead-letter-strategy"));
    assert_eq!(arguments["x-queue-type"], text("classic"));
}

#[test]
fn the_queue_of_a_schedule_has_one_active_consumer_and_outlives_any_number_of_failovers() {
    let schedule = Topology::new("acme").schedule("nightly");
    let arguments = arguments_of(&schedule.declarations, "acme.schedule.nightly");
    assert_eq!(arguments["x-single-active-consumer"], Argument::Bool(true));
    assert_eq!(arguments["x-delivery-limit"], Argument::Int(NO_DELIVERY_LIMIT));
    assert_eq!(arguments["x-queue-type"], text("quorum"));
}

#[test]
fn the_work_queue_comes_after_everything_it_relies_on() {
    let plan = Topology::new("acme").declarations(&Queue::new("mail"));
    let [.., Declaration::Queue(queue), Declaration::Binding(arrival)] = &plan[..] else {
        panic!("{plan:?}");
    };
    assert_eq!((&*queue.name, &*arrival.queue), ("mail", "mail"));
    assert_eq!(arrival.exchange, "acme.delay.v1.deliver");
}
