//! Tracing output of a test, and what may not be in it.

use std::io::{self, Write};
use std::panic;
use std::sync::Once;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::secret;

/// Shows what `RUST_LOG` asks for, with the output of the test that caused it. Nothing without `RUST_LOG`.
///
/// Whatever `RUST_LOG` says, from now on no log line of any level and no panic of this process may show the
/// [password](secret::PASSWORD) of the kit's nodes: the process says so and aborts. Each node does this when it starts.
///
/// May be called by every test of a process; the first call counts. A test that sets a subscriber of its own has to
/// look by itself.
pub fn init() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let wanted = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
        let shown = layer().with_test_writer().with_filter(wanted);
        // Not of the client library: suites use it directly too, and it logs what it sends. What Leveret lets through of its lines
        // is the matter of the suite `rabbit_quiet`.
        let all = Targets::new()
            .with_default(LevelFilter::TRACE)
            .with_target("lapin", LevelFilter::OFF);
        let watched = layer()
            .with_ansi(false)
            .with_span_events(FmtSpan::NEW)
            .with_writer(|| Watch)
            .with_filter(all);
        let _already_set = tracing_subscriber::registry().with(shown).with(watched).try_init();
        watch_panics();
    });
}

/// Where every log line goes, to be looked at.
struct Watch;

impl Write for Watch {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        end_if_shown("a log line", &String::from_utf8_lossy(line));
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn watch_panics() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        end_if_shown("a panic", &panic.to_string());
        usual(panic);
    }));
}

/// An abort and not a panic: tasks and handlers have theirs caught.
fn end_if_shown(what: &str, text: &str) {
    if let Some((_, line)) = secret::shown_in(text) {
        // Past the test harness, which keeps the output of a test until it ends.
        let _nobody_listens = writeln!(io::stderr(), "{what} shows the password of the test's node: {line}");
        std::process::abort();
    }
}
