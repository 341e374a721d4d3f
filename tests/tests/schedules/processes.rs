//! Replicas as processes of their own, killed by `kill -9`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use leveret_tests::shared;
use leveret_tests::signal::soon;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::kit::Timetable;

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(url: &str, timetable: &Timetable) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_schedule_replica"))
            .env("AMQP_URL", url)
            .args([timetable.queue.name(), &timetable.name])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the replica starts");
        let stdout = child.stdout.take().expect("piped");
        Self {
            child,
            lines: BufReader::new(stdout).lines(),
        }
    }

    /// Waits until it says so.
    async fn says(&mut self, wanted: &str) {
        let said = async {
            while let Some(line) = self.lines.next_line().await.expect("readable") {
                if line == wanted {
                    return;
                }
            }
            panic!("the replica ended without saying {wanted:?}");
        };
        soon(format!("a replica that says {wanted:?}"), said).await;
    }

    /// `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.expect("it runs");
    }

    async fn terminate(mut self) {
        let id = self.child.id().expect("it runs").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(asked.expect("kill is there").success());
        assert!(
            soon("the end of a replica", self.child.wait())
                .await
                .expect("waited for")
                .success()
        );
    }
}

const KILLS: u32 = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_is_replaced_at_once_and_costs_one_copy_at_the_most() {
    // Given three replicas, in the order in which they will lead
    let url = shared().await.amqp_url();
    let timetable = Timetable::new(&url, "killed").await;
    let mut leader = Process::start(&url, &timetable);
    leader.says("leading").await;
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..2 {
        let mut next = Process::start(&url, &timetable);
        next.says("standby").await;
        waiting.push_back(next);
    }

    for kill in 1..=KILLS {
        // When the leader is killed in the midst of its work
        timetable.ticked(3 * kill).await;
        leader.kill().await;
        let begun = Instant::now();

        // Then the next leads long before anybody could miss a heartbeat
        leader = waiting.pop_front().expect("one waits");
        leader.says("leading").await;
        let took = begun.elapsed();
        println!("kill {kill}: another leader after {took:?}");
        assert!(took < Duration::from_secs(8), "it took {took:?}: a heartbeat has 10 s");
        let mut next = Process::start(&url, &timetable);
        next.says("standby").await;
        waiting.push_back(next);
    }
    timetable.ticked(3 * KILLS + 3).await;
    for process in waiting {
        process.terminate().await;
    }
    leader.terminate().await;

    // And no tick is missing
    timetable.reckoning().await.assert_complete(KILLS);
}
