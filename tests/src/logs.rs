//! Tracing output of a test.

use tracing_subscriber::EnvFilter;

/// Shows what `RUST_LOG` asks for, with the output of the test that caused it. Nothing without `RUST_LOG`.
///
/// May be called by every test of a process; the first call counts.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let _already_set = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_test_writer()
        .try_init();
}
