//! An inspector that is to die: `inspector <queue> hold` holds all dead letters of the queue, says so, and stays; `inspector <queue>
//! redrive <window> <count>` sends them back to work and aborts after so many confirms, before the last one's letter is removed. `AMQP_URL` names
//! the broker.

use std::io::Write;

use leveret::{DeadLetters, Filter, Queue, Rabbit, RedriveEvent};

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let [queue, order @ ..] = arguments.as_slice() else {
        return Err("a queue and an order".into());
    };
    let rabbit = Rabbit::connect(std::env::var("AMQP_URL")?).await?;
    let letters = DeadLetters::of(&rabbit, &Queue::named(*queue)?);
    match order {
        ["hold"] => hold(letters).await,
        ["redrive", window, count] => redrive(letters, window, count.parse()?).await,
        _ => Err("`hold` or `redrive`".into()),
    }
}

async fn hold(letters: DeadLetters) -> Result<(), Failure> {
    let stay = |_: &RedriveEvent<'_>| {
        println!("held");
        let _ = std::io::stdout().flush();
        loop {
            std::thread::park();
        }
    };
    letters.redrive(Filter::all()).dry_run().on_event(stay).await?;
    Err("there was nothing to hold".into())
}

async fn redrive(letters: DeadLetters, window: &str, mut count: usize) -> Result<(), Failure> {
    let die = move |event: &RedriveEvent<'_>| {
        if matches!(event, RedriveEvent::Confirmed(_)) {
            count -= 1;
            if count == 0 {
                std::process::abort();
            }
        }
    };
    let redrive = letters.redrive(Filter::all()).on_event(die);
    match window {
        "one" => redrive.one_by_one().await?,
        _ => redrive.await?,
    };
    Err("there were fewer letters".into())
}
