//! A job that aborts every process that starts it.

use std::collections::BTreeMap;
use std::process::Stdio;

use leveret::{Producer, Rabbit};
use leveret_tests::poisoned::Dose;
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{Node, taker};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

/// How many jobs harm nobody.
const GOOD: usize = 200;

/// What the worker processes have said.
#[derive(Default)]
struct Heard {
    starts: BTreeMap<u64, u32>,
    done: BTreeMap<u64, u32>,
}

impl Heard {
    fn line(&mut self, line: &str) {
        let Some((word, number)) = line.split_once(' ') else {
            return;
        };
        let Ok(number) = number.parse() else { return };
        match word {
            "start" => *self.starts.entry(number).or_default() += 1,
            "done" => *self.done.entry(number).or_default() += 1,
            _ => {}
        }
    }

    /// One life of a process: to its abort, or to its end once all is done. Whether it aborted.
    async fn life(&mut self, url: &str, rabbit: &Rabbit) -> bool {
        let mut process = Command::new(env!("CARGO_BIN_EXE_poisoned-worker"))
            .env("AMQP_URL", url)
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("it was built");
        let mut lines = BufReader::new(process.stdout.take().expect("piped")).lines();
        let dead = eventually("a dead letter", async || taker::depth(rabbit, "doses.dead").await == 1);
        let mut dead = std::pin::pin!(dead);
        loop {
            tokio::select! {
                line = lines.next_line() => match line.expect("text") {
                    Some(line) => self.line(&line),
                    None => break,
                },
                () = &mut dead, if self.done.len() == GOOD => {
                    let pid = process.id().expect("it still runs").to_string();
                    let status = std::process::Command::new("kill").args(["-TERM", &pid]).status();
                    assert!(status.expect("kill is there").success());
                    while let Some(line) = soon("the end of the process", lines.next_line()).await.expect("text") {
                        self.line(&line);
                    }
                    break;
                }
            }
        }
        let status = soon("the end of the process", process.wait())
            .await
            .expect("it was started");
        !status.success()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_aborts_its_process_is_dead_in_the_end_and_two_hundred_others_are_done() {
    // Given a job that aborts whoever starts it, in the midst of 200 good ones
    let node = Node::start().await;
    let producer = Producer::connect(node.amqp_url()).await.expect("connected");
    for number in (1..=100).chain([0]).chain(101..=200) {
        let enqueue = producer.enqueue(Dose { number }).id(format!("dose-{number}"));
        enqueue.await.expect("confirmed");
    }

    // When a worker process is started again each time it has aborted
    let mut heard = Heard::default();
    let mut aborted = 0;
    while heard.life(&node.amqp_url(), producer.rabbit()).await {
        aborted += 1;
        assert!(aborted <= 5, "{:?} starts of the deadly one", heard.starts.get(&0));
    }

    // Then it was started twice beside others and three times alone; the others are done, none of them started more than three times
    assert_eq!((heard.starts.remove(&0), aborted), (Some(5), 5));
    let everyone: Vec<u64> = (1..=200).collect();
    assert_eq!(heard.done.keys().copied().collect::<Vec<_>>(), everyone);
    assert!(heard.starts.values().all(|starts| *starts <= 3), "{:?}", heard.starts);
    let again = heard.starts.values().filter(|starts| **starts > 1).count();
    println!("{again} of 200 were started more than once, beside it");

    // And it alone is a dead letter, with its id and the reason
    let dead = taker::take_all(producer.rabbit(), "doses.dead").await;
    assert_eq!(dead.len(), 1);
    let properties = &dead[0].properties;
    assert_eq!(properties.message_id.as_deref(), Some("dose-0"));
    assert_eq!(properties.headers["leveret-failure-reason"].as_text(), Some("poison"));
    assert_eq!(properties.headers["leveret-suspect"].as_int(), Some(3));
    assert_eq!(properties.headers["leveret-attempt"].as_int(), Some(1));
    for queue in ["doses", "doses.suspect", "leveret.lost"] {
        assert_eq!(taker::depth(producer.rabbit(), queue).await, 0, "{queue}");
    }
    producer.close().await;
}
