//! What the broker seam promises, one test for each promise, for each broker behind it.
//!
//! # Layout
//! - `fixture`: a broker and its operator's side; `memory` and `rabbit` are the two
//! - `steps`: what the promises have in common
//! - `sessions`, `declaring`, `routing`, `publishing`, `consuming`, `pulling`, `leading`, `settling`, `dead_letters`, `losses`: the promises

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "contract/fixture.rs"]
mod fixture;
#[path = "contract/steps.rs"]
mod steps;

#[path = "contract/consuming.rs"]
mod consuming;
#[path = "contract/dead_letters.rs"]
mod dead_letters;
#[path = "contract/declaring.rs"]
mod declaring;
#[path = "contract/leading.rs"]
mod leading;
#[path = "contract/losses.rs"]
mod losses;
#[path = "contract/publishing.rs"]
mod publishing;
#[path = "contract/pulling.rs"]
mod pulling;
#[path = "contract/routing.rs"]
mod routing;
#[path = "contract/sessions.rs"]
mod sessions;
#[path = "contract/settling.rs"]
mod settling;

/// One test per promise and broker. Those under `alone` may harm the whole broker: they get one of their own.
macro_rules! contract {
    (shared { $($module:ident: $($promise:ident),+ $(,)?;)+ } alone { $($lone_module:ident: $($lone:ident),+ $(,)?;)+ }) => {
        mod memory {
            $($(
                #[tokio::test(start_paused = true)]
                async fn $promise() {
                    crate::$module::$promise(&crate::fixture::MemoryFixture::new()).await;
                }
            )+)+
            $($(
                #[tokio::test(start_paused = true)]
                async fn $lone() {
                    crate::$lone_module::$lone(&crate::fixture::MemoryFixture::new()).await;
                }
            )+)+
        }

        mod memory_on_threads {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::$module::$promise(&crate::fixture::MemoryFixture::new()).await;
                }
            )+)+
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $lone() {
                    crate::$lone_module::$lone(&crate::fixture::MemoryFixture::new()).await;
                }
            )+)+
        }

        mod rabbit {
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $promise() {
                    crate::$module::$promise(&crate::fixture::RabbitFixture::shared().await).await;
                }
            )+)+
            $($(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $lone() {
                    crate::$lone_module::$lone(&crate::fixture::RabbitFixture::alone().await).await;
                }
            )+)+
        }
    };
}

contract! {
    shared {
        sessions:
            a_session_is_open_until_it_is_closed_from_this_side,
            closing_a_session_ends_its_channels,
            nothing_can_be_asked_of_a_closed_session,
            a_connection_lives_as_long_as_a_consumer_uses_it,
            a_lock_belongs_to_one_connection_until_that_ends,
            a_queue_is_inspected_with_its_ready_messages_and_consumers,
            inspecting_what_is_missing_is_not_found_and_the_session_lives_on;
        declaring:
            an_equal_declaration_is_accepted_again,
            a_different_queue_is_a_mismatch_that_names_what_differs,
            classic_is_the_kind_of_a_queue_that_names_none,
            a_missing_argument_is_a_mismatch_as_well,
            a_different_exchange_is_a_mismatch,
            arguments_that_the_broker_does_not_know_are_not_compared,
            declaring_stops_at_the_first_failure_and_says_which,
            a_binding_needs_its_queue_and_its_exchange,
            a_binding_of_an_exchange_needs_both_and_is_accepted_again,
            reserved_names_are_refused,
            arguments_that_make_no_sense_are_refused,
            the_session_lives_on_after_a_refused_declaration;
        routing:
            each_kind_of_exchange_routes_in_its_way,
            a_queue_that_is_bound_twice_gets_a_message_once,
            an_alternate_exchange_takes_what_is_unroutable,
            alternate_exchanges_that_point_at_each_other_end_in_a_return,
            a_message_goes_on_through_bound_exchanges_and_arrives_once,
            the_alternate_of_a_bound_exchange_takes_what_that_cannot_route;
        publishing:
            a_publish_is_confirmed_after_it_was_routed,
            an_unroutable_publish_comes_back_with_its_id,
            a_returned_message_without_an_id_is_reported_all_the_same,
            a_publish_that_a_full_queue_refuses_is_nacked,
            every_tag_is_answered_once_and_the_returned_ids_are_the_unroutable_ones,
            publishes_keep_their_order,
            a_publish_to_a_missing_exchange_loses_the_channel_and_nothing_else,
            a_lost_publisher_stays_lost,
            what_amqp_cannot_carry_is_refused_before_it_is_sent,
            headers_that_do_not_fit_a_frame_are_refused_before_they_are_sent,
            bodies_of_any_bytes_and_size_survive,
            all_properties_and_kinds_of_header_values_survive,
            dropping_a_publisher_ends_only_its_channel;
        consuming:
            consuming_a_missing_queue_is_not_found_and_the_session_lives_on,
            prefetch_limits_the_unsettled_deliveries,
            consumers_are_served_in_turn,
            a_first_delivery_is_not_redelivered,
            a_message_that_has_only_a_body_is_delivered,
            after_a_cancel_comes_what_was_sent_before_and_then_the_end,
            what_is_published_after_a_cancel_stays_in_the_queue,
            held_deliveries_are_settled_after_a_cancel,
            cancelling_twice_is_harmless,
            a_deleted_queue_cancels_its_consumers,
            a_dropped_consumer_returns_what_it_held;
        pulling:
            an_empty_queue_gives_nothing,
            messages_are_pulled_in_order_and_gone_once_acked,
            nothing_comes_that_was_not_asked_for,
            a_requeued_pull_comes_again_marked_and_counted,
            a_rejected_pull_is_dead_lettered,
            what_was_pulled_and_not_settled_comes_again,
            closing_a_puller_keeps_every_ack,
            a_lease_of_elsewhere_is_refused_by_a_puller,
            pulling_from_a_missing_queue_is_not_found_and_the_session_lives_on,
            a_pull_on_a_lost_connection_fails_and_what_it_held_comes_again;
        leading:
            only_the_oldest_consumer_of_a_single_active_queue_is_served,
            when_the_active_consumer_s_channel_goes_the_next_gets_what_it_held_first,
            a_cancelled_active_consumer_hands_over,
            whether_a_queue_has_a_single_active_consumer_cannot_be_changed,
            one_channel_consumes_and_publishes,
            a_publish_that_loses_the_channel_loses_its_consumer_as_well,
            a_lost_connection_ends_both_halves_of_a_channel,
            closing_the_consuming_half_closes_the_channel;
        settling:
            an_acked_message_is_gone,
            a_requeued_message_comes_again_marked_and_counted,
            requeued_messages_come_before_those_that_wait,
            a_queue_without_a_limit_puts_requeued_messages_last,
            a_classic_queue_puts_a_requeued_message_where_it_was,
            deliveries_are_settled_in_any_order,
            a_lease_of_another_consumer_comes_back,
            settling_in_any_mixture_leaves_nothing_unacked,
            closing_returns_what_was_not_settled,
            closing_keeps_every_ack;
        dead_letters:
            a_rejected_message_goes_to_the_dead_letter_exchange_with_its_record,
            a_message_whose_time_is_over_goes_to_the_dead_letter_exchange_and_not_before,
            a_rejected_message_without_a_dead_letter_exchange_is_gone,
            without_a_key_of_its_own_a_dead_letter_keeps_the_message_s_key,
            a_delivery_limit_allows_one_more_delivery_than_it_says,
            a_lost_connection_counts_as_a_failed_delivery,
            the_count_of_deliveries_starts_again_in_the_dead_letter_queue,
            a_second_death_is_recorded_before_the_first,
            a_dead_letter_whose_target_is_missing_is_kept,
            at_most_once_a_dead_letter_whose_target_is_missing_is_lost,
            an_alternate_exchange_takes_dead_letters_as_well;
        losses:
            a_lost_connection_is_told_to_everyone_who_uses_it,
            what_a_lost_connection_held_comes_again,
            what_a_consumer_held_goes_back_in_order_however_it_ends,
            what_goes_back_stands_behind_what_went_back_before,
            a_lost_connection_leaves_others_alone;
    }
    alone {
        losses:
            a_channel_that_the_broker_closes_leaves_the_session_alone,
            a_blocked_connection_says_so_and_answers_later;
    }
}
