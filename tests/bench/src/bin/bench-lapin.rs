//! Plain lapin, driven well: publishes polled together, each confirmed; one acker, which acks many messages at once.
//!
//! `bench-lapin --mode enqueue|work|latency …`, as `leveret-bench`.

use std::process::ExitCode;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Channel, Confirmation, Connection, ConnectionProperties};
use leveret_bench::arguments::{Arguments, Mode};
use leveret_bench::mail::Mail;
use leveret_bench::report;
use leveret_bench::usage::{Spent, Stretch};
use leveret_bench::{Failure, end};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// So many publishes are under way.
const WINDOW: usize = 1000;
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
    }
    // The measuring is over: how the connection ends is no part of it.
    let _ = connection.close(200, "OK".into()).await;
    Ok(())
}

async fn publish(channel: &Channel, queue: &str, id: u64) -> Result<(), Failure> {
    let body = serde_json::to_vec(&Mail::new(id))?;
    let properties = BasicProperties::default()
        .with_content_type("application/json".into())
        .with_delivery_mode(2)
        .with_message_id(format!("{id:036}").into())
        .with_type("bench-mail".into());
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

async fn enqueue(channel: &Channel, arguments: &Arguments) -> Result<Spent, Failure> {
    let stretch = Stretch::begin();
    match arguments.callers {
        None => {
            let mut under_way = FuturesUnordered::new();
            for id in 0..arguments.n {
                if under_way.len() == WINDOW {
                    under_way.next().await.unwrap_or(Ok(()))?;
                }
                under_way.push(publish(channel, &arguments.queue, id));
                // Polled once, so that it is on its way.
                if let Some(Some(done)) = under_way.next().now_or_never() {
                    done?;
                }
            }
            while let Some(done) = under_way.next().await {
                done?;
            }
        }
        Some(callers) => {
            let callers = callers.max(1);
            let tasks: Vec<_> = (0..callers)
                .map(|first| {
                    let (channel, queue) = (channel.clone(), arguments.queue.clone());
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
    let prefetch = arguments.prefetch.unwrap_or(PREFETCH);
    channel.basic_qos(prefetch, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    channel
        .basic_consume(
            arguments.queue.as_str().into(),
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
    let mut ticks = interval_at(begin, Duration::from_secs_f64(1.0 / arguments.rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut under_way = FuturesUnordered::new();
    for id in 0..arguments.n {
        ticks.tick().await;
        under_way.push(publish(&sending, &arguments.queue, id));
        while let Some(Some(done)) = under_way.next().now_or_never() {
            done?;
        }
    }
    while let Some(done) = under_way.next().await {
        done?;
    }
    timing.await?
}
