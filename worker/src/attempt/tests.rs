//! Every way in which an attempt can end.

use std::time::Duration;

use super::*;
use crate::cancellation::Cause;
use crate::error::JobError;
use crate::extract::State;
use crate::fixtures::{self, Greet, Part};
use crate::handler::{Handler, IntoHandler};
use crate::states::States;

fn erased<M>(handler: impl IntoHandler<M>) -> Arc<Pipeline> {
    Arc::new(Pipeline {
        middlewares: Vec::new(),
        run: handler.into_handler().run,
        threads: None,
    })
}

async fn end_of<M>(handler: impl IntoHandler<M>) -> Ended {
    run(
        &erased(handler),
        fixtures::attempt(Greet { number: 7 }, States::default()),
    )
    .await
}

#[tokio::test]
async fn a_handler_gets_its_job_and_its_extractors() {
    async fn greet(job: Greet, State(prefix): State<String>, context: Context) -> Result<(), String> {
        Err(format!(
            "{prefix} {} {} {}",
            job.number,
            context.job_name(),
            context.attempt()
        ))
    }
    let mut states = States::default();
    states.put("user".to_owned());

    let ended = run(&erased(greet), fixtures::attempt(Greet { number: 7 }, states)).await;

    let Ended::Returned(Outcome::Failed(error)) = ended else {
        panic!("the handler failed, not {ended:?}")
    };
    assert_eq!(error.to_string(), "user 7 greet 1");
}

#[tokio::test]
async fn every_form_of_handler_runs() {
    struct Greeter;
    #[async_trait::async_trait]
    impl Handler<Greet> for Greeter {
        type Output = Result<Outcome, JobError>;
        async fn run(&self, job: Greet, _: Context) -> Self::Output {
            Ok(Outcome::Cancel(job.number.to_string()))
        }
    }
    async fn bare(_: Greet) {}
    let with_eight = async |_: Greet,
                            _: Context,
                            _: Context,
                            _: Context,
                            _: Context,
                            _: Context,
                            _: Context,
                            _: Context,
                            _: Context| {};

    assert!(matches!(end_of(Greeter).await, Ended::Returned(Outcome::Cancel(text)) if text == "7"));
    assert!(matches!(end_of(bare).await, Ended::Returned(Outcome::Done)));
    assert!(matches!(end_of(with_eight).await, Ended::Returned(Outcome::Done)));
}

#[tokio::test]
async fn a_missing_value_fails_the_attempt_and_names_the_type() {
    async fn greet(_: Greet, _: State<u8>) {}
    let Ended::Returned(Outcome::Failed(error)) = end_of(greet).await else {
        panic!("it failed")
    };
    assert!(error.to_string().contains("`u8`"), "{error}");
}

#[tokio::test]
async fn a_body_of_another_shape_is_undecodable_and_is_not_quoted() {
    async fn greet(_: Greet) {}
    let mut attempt = fixtures::attempt(Part { number: 4711 }, States::default());
    Arc::get_mut(&mut attempt).expect("the only one").message.body = "{\"secret\": 4711}".into();

    let Ended::Undecodable(why) = run(&erased(greet), attempt).await else {
        panic!("it is no greeting")
    };

    assert!(why.contains("`greet`") && !why.contains("4711"), "{why}");
}

#[tokio::test]
async fn a_panic_is_caught_wherever_it_happens() {
    struct Explosive;
    impl Drop for Explosive {
        fn drop(&mut self) {
            panic!("in the drop")
        }
    }
    async fn in_the_handler(job: Greet) {
        panic!("number {}", job.number)
    }
    async fn in_the_drop(_: Greet) {
        let _explosive = Explosive;
        std::future::pending().await
    }
    #[derive(Debug)]
    struct Speechless;
    impl std::fmt::Display for Speechless {
        fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            panic!("in the words")
        }
    }
    impl std::error::Error for Speechless {}
    async fn in_the_error(_: Greet) -> Result<(), Speechless> {
        Err(Speechless)
    }
    let at_the_call = |_: Greet| -> std::future::Ready<()> { panic!("at the call") };

    assert!(matches!(end_of(in_the_handler).await, Ended::Panicked(text) if text == "number 7"));
    assert!(matches!(end_of(in_the_error).await, Ended::Panicked(text) if text == "in the words"));
    assert!(matches!(end_of(at_the_call).await, Ended::Panicked(text) if text == "at the call"));
    tokio::time::pause();
    assert!(matches!(end_of(in_the_drop).await, Ended::Panicked(text) if text == "in the drop"));
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_dropped_at_its_limit() {
    async fn endless(_: Greet) {
        std::future::pending().await
    }
    assert!(matches!(end_of(endless).await, Ended::TimedOut(limit) if limit == Duration::from_secs(30)));
}

#[tokio::test]
async fn an_error_after_a_seen_cancellation_is_an_interruption() {
    async fn polite(_: Greet, context: Context) -> Result<(), String> {
        Err(format!("{:?}", context.cancelled().await))
    }
    async fn blind(_: Greet) -> Result<(), String> {
        Err("own fault".to_owned())
    }
    for (handler, interrupted) in [(erased(polite), true), (erased(blind), false)] {
        let attempt = fixtures::attempt(Greet { number: 7 }, States::default());
        attempt.switch.fire(Cause::Shutdown);

        let ended = run(&handler, attempt).await;

        assert_eq!(matches!(ended, Ended::Interrupted), interrupted, "{ended:?}");
    }
}
