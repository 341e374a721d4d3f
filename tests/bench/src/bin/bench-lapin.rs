//! Plain lapin, driven well: publishes polled together, each confirmed; one acker, which acks many messages at once.
//!
//! `bench-lapin --mode enqueue|work|latency|start …`, as `leveret-bench`. And what takes no more than a client that declares and deletes: `--mode hop` (what
//! the broker does by itself, see [`hop`]) and `--mode remove` (the queues of a run, and what lies beside them).

use std::process::ExitCode;
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use leveret_bench::arguments::{Arguments, Mode, WINDOW};
use leveret_bench::mail::{Mail, since_ms};
use leveret_bench::report;
use leveret_bench::usage::{Spent, Stretch};
use leveret_bench::{Failure, end};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

const PREFETCH: u16 = 200;
const ACK_EVERY: u64 = 50;

#[tokio::main]
async fn main() -> ExitCode {
    end("bench-lapin", run().await)
}

async fn run() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let connection = Connection::connect(&arguments.url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    match arguments.mode {
        Mode::Enqueue => {
            channel.confirm_select(ConfirmSelectOptions::default()).await?;
            println!(
                "{}",
                report::enqueued(arguments.n, enqueue(&channel, &arguments).await?)
            );
        }
        Mode::Work => println!("{}", report::worked(arguments.n, work(&channel, &arguments).await?)),
        Mode::Latency => println!("{}", report::delayed(latency(&connection, &arguments).await?)),
        Mode::Start => println!("{}", report::started(start(&channel, &arguments).await?)),
        Mode::Hop => println!("{}", report::worked(arguments.n, hop(&channel, &arguments).await?)),
        Mode::Remove => println!("{}", remove(&channel, &arguments).await?),
        Mode::Retry | Mode::Idle => return Err("that is what leveret-bench does".into()),
    }
    // The measuring is over: how the connection ends is no part of it.
    let _ = connection.close(200, "OK".into()).await;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, id: u64) -> Result<(), Failure> {
    publish_with(channel, queue, id, properties(id)).await
}

fn properties(id: u64) -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(format!("{id:036}").into())
        .with_type("bench-mail".into())
}

async fn publish_with(channel: &Channel, queue: &str, id: u64, properties: BasicProperties) -> Result<(), Failure> {
    let body = serde_json::to_vec(&Mail::new(id))?;
    let options = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish("".into(), queue.into(), options, &body, properties);
    match sent.await?.await? {
        Confirmation::Ack(None) => Ok(()),
        other => Err(format!("a publish was not stored: {other:?}").into()),
    }
}

/// Window by window.
async fn publish_all<F>(n: u64, publish: impl Fn(u64) -> F) -> Result<(), Failure>
where
    F: Future<Output = Result<(), Failure>>,
{
    let mut id = 0;
    while id < n {
        let end = n.min(id + WINDOW as u64);
        // All are polled before the first is awaited: what costs is to wait for each to be written.
        for done in join_all((id..end).map(&publish)).await {
            done?;
        }
        id = end;
    }
    Ok(())
}

async fn enqueue(channel: &Channel, arguments: &Arguments) -> Result<Spent, Failure> {
    let stretch = Stretch::begin();
    match arguments.sending.callers {
        None => publish_all(arguments.n, |id| publish(channel, &arguments.place.queue, id)).await?,
        Some(callers) => {
            let callers = callers.max(1);
            let tasks: Vec<_> = (0..callers)
                .map(|first| {
                    let (channel, queue) = (channel.clone(), arguments.place.queue.clone());
                    let ids = (first..arguments.n).step_by(usize::try_from(callers).unwrap_or(usize::MAX));
                    tokio::spawn(async move {
                        for id in ids {
                            publish(&channel, &queue, id).await?;
                        }
                        Ok::<(), Failure>(())
                    })
                })
                .collect();
            for task in tasks {
                task.await??;
            }
        }
    }
    Ok(stretch.end())
}

async fn consume(channel: &Channel, arguments: &Arguments) -> Result<lapin::Consumer, lapin::Error> {
    let prefetch = arguments.working.prefetch.unwrap_or(PREFETCH);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(
            arguments.place.queue.as_str().into(),
            "plain".into(),
            options,
            FieldTable::default(),
        )
        .await
}

async fn work(channel: &Channel, arguments: &Arguments) -> Result<Spent, Failure> {
    let mut consumer = consume(channel, arguments).await?;
    let mut stretch = None;
    let mut handled = 0;
    while handled < arguments.n {
        let delivery = consumer.next().await.ok_or("the consumer ended")??;
        stretch.get_or_insert_with(Stretch::begin);
        let _: Mail = serde_json::from_slice(&delivery.data)?;
        handled += 1;
        if handled % ACK_EVERY == 0 || handled == arguments.n {
            let options = BasicAckOptions { multiple: true };
            channel.basic_ack(delivery.delivery_tag, options).await?;
        }
    }
    Ok(stretch.map_or_else(Spent::default, |stretch| stretch.end()))
}

async fn latency(connection: &Connection, arguments: &Arguments) -> Result<Vec<f64>, Failure> {
    let sending = connection.create_channel().await?;
    sending.confirm_select(ConfirmSelectOptions::default()).await?;
    let receiving = connection.create_channel().await?;
    let mut consumer = consume(&receiving, arguments).await?;
    let wanted = usize::try_from(arguments.n)?;
    let timing = tokio::spawn(async move {
        let mut ages = Vec::with_capacity(wanted);
        while ages.len() < wanted {
            let delivery = consumer.next().await.ok_or("the consumer ended")??;
            let job: Mail = serde_json::from_slice(&delivery.data)?;
            ages.push(job.age_ms());
            delivery.acker.ack(BasicAckOptions::default()).await?;
        }
        Ok::<_, Failure>(ages)
    });
    let begin = Instant::now() + Duration::from_millis(100);
    let mut ticks = interval_at(begin, Duration::from_secs_f64(1.0 / arguments.sending.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = FuturesUnordered::new();
    for id in 0..arguments.n {
        ticks.tick().await;
        under_way.push(publish(&sending, &arguments.place.queue, id));
        while let Some(Some(done)) = under_way.next().now_or_never() {
            done?;
        }
    }
    while let Some(done) = under_way.next().await {
        done?;
    }
    timing.await?
}

/// From the start of the process to the first message: connection, channel, consumer.
async fn start(channel: &Channel, arguments: &Arguments) -> Result<f64, Failure> {
    let mut consumer = consume(channel, arguments).await?;
    let delivery = consumer.next().await.ok_or("the consumer ended")??;
    let ms = since_ms(arguments.since.unwrap_or_default());
    let _: Mail = serde_json::from_slice(&delivery.data)?;
    delivery.acker.ack(BasicAckOptions::default()).await?;
    Ok(ms)
}

/// How long after the first publish all messages expire: they are stored by then.
const WAIT: Duration = Duration::from_secs(8);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The rate of one at-least-once hop: messages that expire in one quorum queue and that the broker hands on to another, keeping each until the other has
/// confirmed it. That is what every retry and every delay costs the broker once at least, and nobody but the broker has a part in it.
///
/// All messages are stored before the first expires, they expire together, nobody consumes, and this program only asks now and then how many have arrived, so that the broker has
/// nothing else to do while it is timed: from the first that is seen in the target to the last. A retry as a whole has to share the machine with two deliveries,
/// a publish and two acks of each job, so this is more than it can be expected to reach, by as much as those cost.
async fn hop(channel: &Channel, arguments: &Arguments) -> Result<Spent, Failure> {
    let target = arguments.place.queue.as_str();
    let waiting = format!("{target}.hop");
    declare_waiting(channel, &waiting, target).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let end = Instant::now() + WAIT;
    let publish = |id| {
        let left = end.saturating_duration_since(Instant::now()).as_millis();
        let expiring = properties(id).with_expiration(left.to_string().into());
        publish_with(channel, &waiting, id, expiring)
    };
    publish_all(arguments.n, publish).await?;
    if arrived(channel, target).await? > 0 {
        return Err("the first message expired before the last was stored: fewer of them, please".into());
    }
    while arrived(channel, target).await? == 0 {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let stretch = Stretch::begin();
    let before = arrived(channel, target).await?;
    while arrived(channel, target).await? < arguments.n {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let mut spent = stretch.end();
    // Those that were there when the clock started took none of its time.
    let share = arguments.n as f64 / (arguments.n - before.min(arguments.n - 1)) as f64;
    spent.wall = spent.wall.mul_f64(share);
    delete(channel, &waiting).await?;
    Ok(spent)
}

async fn declare_waiting(channel: &Channel, waiting: &str, target: &str) -> Result<(), Failure> {
    let mut arguments = FieldTable::default();
    let text = |text: &str| AMQPValue::LongString(text.into());
    for (name, value) in [
        ("x-queue-type", text("quorum")),
        (
            "x-message-ttl",
            AMQPValue::LongLongInt(i64::try_from(WAIT.as_millis())?),
        ),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(target)),
        ("x-dead-letter-strategy", text("at-least-once")),
        ("x-overflow", text("reject-publish")),
    ] {
        arguments.insert(name.into(), value);
    }
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(waiting.into(), durable, arguments).await?;
    Ok(())
}

async fn arrived(channel: &Channel, queue: &str) -> Result<u64, lapin::Error> {
    let passive = QueueDeclareOptions {
        passive: true,
        ..QueueDeclareOptions::default()
    };
    let state = channel
        .queue_declare(queue.into(), passive, FieldTable::default())
        .await?;
    Ok(u64::from(state.message_count()))
}

/// Takes away the queues of a run with what stands beside each of them, and says how many.
async fn remove(channel: &Channel, arguments: &Arguments) -> Result<serde_json::Value, Failure> {
    let mut removed = 0;
    for name in arguments.place.names() {
        for beside in ["", ".dead", ".suspect"] {
            delete(channel, &format!("{name}{beside}")).await?;
            removed += 1;
        }
    }
    Ok(serde_json::json!({ "n": removed, "rss_mb": 0 }))
}

/// What is not there is no mistake to the broker.
async fn delete(channel: &Channel, queue: &str) -> Result<(), lapin::Error> {
    let deleted = channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await;
    deleted.map(drop)
}
