//! Where a password could show though nobody prints it: the titles of processes, what the broker tells operators, panics of the
//! application. Logs and panics of all suites are watched by the kit ([`leveret_tests::logs`]), and their output by `cargo xtask test`.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};

use leveret::{ConnectOptions, DeadLetters, Filter, Producer, Queue, Rabbit};
use leveret_tests::secret::{PASSWORD, shown_in};
use leveret_tests::signal::{eventually, soon};
use leveret_tests::{Node, shared};
use leveret_worker::Worker;
use tokio::process::Command;

/// Fails without saying the word.
fn keeps_secret(what: &str, text: &str) {
    if let Some((number, line)) = shown_in(text) {
        panic!("{what} shows the password, in line {number}: {line}");
    }
}

/// Everything that `ps` and a debugger without rights could show of a process and its threads.
fn titles(pid: u32) -> String {
    let process = format!("/proc/{pid}");
    let threads = fs::read_dir(format!("{process}/task")).expect("it runs");
    let threads = threads.map(|thread| thread.expect("a thread").path().join("comm"));
    let files = ["cmdline", "comm", "status"].map(|file| format!("{process}/{file}").into());
    let texts = files.into_iter().chain(threads).filter_map(|file| fs::read(file).ok());
    texts
        .map(|text| String::from_utf8_lossy(&text).replace('\0', "\n") + "\n")
        .collect()
}

#[tokio::test]
async fn a_worker_shows_its_password_neither_in_its_titles_nor_to_the_operator() {
    // Given a worker in a process of its own, connected
    let node = Node::start().await;
    let mut worker = Command::new(env!("CARGO_BIN_EXE_poisoned-worker"));
    // Also if something fails here.
    worker.env("AMQP_URL", node.amqp_url()).kill_on_drop(true);
    let mut worker = worker.spawn().expect("it is built");
    eventually("the worker consumes", async || {
        let consumers = node.ctl(&["list_consumers", "--quiet"]).await;
        !consumers.expect("a list").trim().is_empty()
    })
    .await;

    // When everybody looks who may
    let titles = titles(worker.id().expect("it runs"));
    let mut told = String::new();
    for arguments in [
        &[
            "list_connections",
            "--quiet",
            "name",
            "user",
            "client_properties",
            "auth_mechanism",
            "state",
        ][..],
        &["list_channels", "--quiet", "name", "user"],
        &["list_consumers", "--quiet"],
        &["list_queues", "--quiet", "name", "arguments", "owner_pid"],
    ] {
        told += &node.ctl(arguments).await.expect("a list");
    }
    worker.kill().await.expect("it runs");

    // Then nobody sees it
    assert!(
        titles.contains("leveret-amqp") && told.contains("leveret"),
        "{titles}\n{told}"
    );
    keeps_secret("a title of the process", &titles);
    keeps_secret("rabbitmqctl", &told);
    keeps_secret(
        "the broker's log",
        &fs::read_to_string(node.file("node.log")).expect("a log"),
    );
}

/// What a program prints that does not expect an error.
fn panic_of<T>(act: impl FnOnce() -> T) -> String {
    let panic = catch_unwind(AssertUnwindSafe(act)).err().expect("it panics");
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .expect("a text")
}

#[test]
fn a_program_that_unwraps_a_bad_url_panics_without_the_password() {
    for url in [
        format!("amqp://user:{PASSWORD}/@host"),
        format!("amqp://user:{PASSWORD}@host:port"),
        format!("amqp://user:#{PASSWORD}@host"),
        format!("http://user:{PASSWORD}@host"),
        format!("user:{PASSWORD}@host"),
        format!("memory://user:{PASSWORD}@host"),
        format!("amqp://user:{PASSWORD}@host?password={PASSWORD}"),
        format!("amqp://{PASSWORD}"),
    ] {
        // The last is a host and not a password: whoever writes that gets it told where it goes.
        if let Ok(options) = url.parse::<ConnectOptions>() {
            assert_eq!(url, format!("amqp://{PASSWORD}"), "{options}");
            continue;
        }
        let text = panic_of(|| url.parse::<ConnectOptions>().unwrap());
        keeps_secret("the panic", &text);
        let text = panic_of(|| Worker::builder(url.as_str()).build().unwrap());
        keeps_secret("the worker's panic", &text);
    }
}

#[tokio::test]
async fn whatever_cannot_connect_says_so_without_the_password() {
    // Given a password that the broker does not take, and a host that is not there
    let refused = shared().await.amqp_url().replace("guest:", "nobody:");
    let nowhere = format!("amqp://guest:{PASSWORD}@127.0.0.1:1");
    for url in [refused, nowhere] {
        let options: ConnectOptions = url.parse().expect("a good URL");
        let options = options.startup_deadline(std::time::Duration::from_millis(500));

        // When everything is tried with it, and shown in every way
        let error = soon("an end", Producer::connect(options.clone()))
            .await
            .expect_err("refused");
        let rabbit = Rabbit::start(options.clone()).expect("started");
        let letters = DeadLetters::of(&rabbit, &Queue::new("mail"));
        let looked = soon("an end", letters.list(Filter::all())).await.expect_err("refused");
        let states = format!("{:?} {:?}", rabbit.publishing(), &*rabbit.publishing().state().borrow());
        let failed: Result<(), _> = std::hint::black_box(Err(&error));
        let unwrapped = panic_of(|| failed.unwrap());

        // Then it shows in none
        for shown in [
            format!("{error} {error:?} {looked} {looked:?}"),
            format!("{options} {options:?} {rabbit:?} {:?} {letters:?}", rabbit.producer()),
            format!("{:?}", Worker::builder(options)),
            states,
            unwrapped,
        ] {
            keeps_secret("an error or a value", &shown);
        }
        rabbit.close().await;
    }
}
