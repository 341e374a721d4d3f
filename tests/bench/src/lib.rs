//! What the programs that are compared have in common, so that they differ in nothing but how they talk to RabbitMQ.
//!
//! Three programs do the same work and print the same line: `leveret-bench`, `bench-lapin` (plain lapin, driven well) and `bench-limit` (frames encoded
//! beforehand on one blocking socket: what the broker can do at all). `cargo xtask bench` runs them in turn and compares.
//!
//! # Layout
//!
//! - [`arguments`]: what a run is told.
//! - [`mail`]: the job.
//! - [`usage`]: what a run costs this process.
//! - [`report`]: the line it prints.
//! - [`wire`]: AMQP by hand, for the limit.

use std::process::ExitCode;

pub mod arguments;
pub mod mail;
pub mod report;
pub mod usage;
pub mod wire;

/// What anything here ends with.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Ends a program: what went wrong is told in words.
pub fn end(program: &str, result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(feature = "allocations")]
#[global_allocator]
static ALLOCATOR: &stats_alloc::StatsAlloc<std::alloc::System> = &stats_alloc::INSTRUMENTED_SYSTEM;
