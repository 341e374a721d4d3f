//! What the broker can do: frames that were encoded beforehand, on one blocking socket, 1,000 publishes under way, one ack for 50 messages.
//!
//! `bench-limit --mode enqueue|work …`, as `leveret-bench`. Its rates are the limit that the others are compared with; `enqueue` also fills the queues that
//! all of them work on. With `--spend US` it uses up so much CPU for each job besides: what the broker can do beside a client that needs that.

use std::collections::BTreeSet;
use std::io;
use std::process::ExitCode;
use std::time::Duration;

use lapin::uri::{AMQPUri, AMQPUserInfo};
use leveret_bench::arguments::{Arguments, Mode, WINDOW};
use leveret_bench::mail::Mail;
use leveret_bench::report;
use leveret_bench::usage::{self, Spent, Stretch};
use leveret_bench::wire::{Wire, method, publish};
use leveret_bench::{Failure, end};

/// So many publishes go out with one write.
const AT_ONCE: u64 = 100;
const PREFETCH: u16 = 200;
const ACK_EVERY: u64 = 50;

fn main() -> ExitCode {
    end("bench-limit", run())
}

fn run() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let mut wire = open(&arguments.url)?;
    match arguments.mode {
        Mode::Enqueue => println!("{}", report::enqueued(arguments.n, enqueue(&mut wire, &arguments)?)),
        Mode::Work => println!("{}", report::worked(arguments.n, work(&mut wire, &arguments)?)),
        _ => return Err("the limit is one of rates: plain lapin is compared in the other modes".into()),
    }
    Ok(())
}

fn open(url: &str) -> Result<Wire, Failure> {
    let AMQPUri { authority, vhost, .. } = url.parse()?;
    let AMQPUserInfo { username, password } = authority.userinfo;
    let address = format!("{}:{}", authority.host, authority.port);
    Ok(Wire::open(&address, &username, &password, &vhost)?)
}

fn enqueue(wire: &mut Wire, arguments: &Arguments) -> Result<Spent, Failure> {
    wire.confirm()?;
    // Encoded beforehand, so that nothing is measured but the broker: as many as are under way, sent again and again.
    let encoded: Vec<Vec<u8>> = (0..WINDOW as u64 / AT_ONCE)
        .map(|batch| {
            let ids = batch * AT_ONCE..(batch + 1) * AT_ONCE;
            ids.map(|id| one(arguments, id))
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.concat())
        })
        .collect::<Result<_, _>>()?;
    let rest = (0..arguments.n % AT_ONCE).map(|id| one(arguments, id));
    let rest = rest.collect::<Result<Vec<_>, _>>()?.concat();
    let stretch = Stretch::begin();
    let (mut sent, mut confirms) = (0, Confirms::default());
    let mut batches = encoded.iter().cycle();
    while confirms.count() < arguments.n {
        while sent < arguments.n && sent - confirms.count() <= WINDOW as u64 - AT_ONCE {
            let left = arguments.n - sent;
            match batches.next() {
                Some(batch) if left >= AT_ONCE => wire.send(batch)?,
                _ => wire.send(&rest)?,
            }
            sent += left.min(AT_ONCE);
            spend_on(left.min(AT_ONCE), arguments);
        }
        take_confirms(wire, &mut confirms)?;
    }
    Ok(stretch.end())
}

fn spend_on(jobs: u64, arguments: &Arguments) {
    if arguments.spend > 0 {
        usage::spend(Duration::from_micros(jobs * arguments.spend));
    }
}

fn one(arguments: &Arguments, id: u64) -> Result<Vec<u8>, serde_json::Error> {
    let body = serde_json::to_vec(&Mail::new(id))?;
    // As long as the ids of Leveret.
    Ok(publish(
        &arguments.place.queue,
        "bench-mail",
        &format!("{id:036}"),
        &body,
    ))
}

/// Which publishes are confirmed; the broker confirms them in any order.
#[derive(Debug, Default)]
struct Confirms {
    /// All up to this tag.
    floor: u64,
    /// And these beyond it.
    beyond: BTreeSet<u64>,
}

impl Confirms {
    fn count(&self) -> u64 {
        self.floor + self.beyond.len() as u64
    }

    fn add(&mut self, tag: u64, multiple: bool) {
        match multiple {
            true => {
                self.floor = self.floor.max(tag);
                self.beyond = self.beyond.split_off(&(self.floor + 1));
            }
            false => drop(self.beyond.insert(tag)),
        }
        while self.beyond.remove(&(self.floor + 1)) {
            self.floor += 1;
        }
    }
}

/// Waits for a confirm, and takes those that came with it.
fn take_confirms(wire: &mut Wire, confirms: &mut Confirms) -> Result<(), Failure> {
    loop {
        let frame = wire.read()?;
        match frame.method {
            Some(method::ACK) => {
                let (tag, multiple) = frame.tag()?;
                confirms.add(tag, multiple);
            }
            Some(method::NACK) => return Err("the broker refused a publish".into()),
            _ => {}
        }
        if !wire.has_frame() {
            return Ok(());
        }
    }
}

fn work(wire: &mut Wire, arguments: &Arguments) -> Result<Spent, io::Error> {
    wire.consume(&arguments.place.queue, arguments.working.prefetch.unwrap_or(PREFETCH))?;
    let mut stretch = None;
    let mut handled = 0;
    while handled < arguments.n {
        let frame = wire.read()?;
        if frame.method != Some(method::DELIVER) {
            continue;
        }
        let tag = frame.delivery_tag()?;
        stretch.get_or_insert_with(Stretch::begin);
        handled += 1;
        if handled % ACK_EVERY == 0 || handled == arguments.n {
            wire.ack_up_to(tag)?;
            spend_on(ACK_EVERY, arguments);
        }
    }
    let spent = stretch.map_or_else(Spent::default, |stretch| stretch.end());
    // The queue is empty once the broker has taken the last ack, which a request behind it shows.
    wire.confirm()?;
    Ok(spent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confirms_are_counted_once_in_whatever_order_they_come() {
        let mut confirms = Confirms::default();
        let steps = [
            ((3, false), 1),
            ((1, false), 2),
            // 2 and 4 are new, 1 and 3 were told before.
            ((4, true), 4),
            ((6, false), 5),
            ((5, false), 6),
            ((6, true), 6),
            ((9, true), 9),
        ];
        for ((tag, multiple), count) in steps {
            confirms.add(tag, multiple);
            assert_eq!(confirms.count(), count, "after {tag}");
        }
        assert!(confirms.beyond.is_empty());
    }
}
