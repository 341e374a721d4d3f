//! The thread of our own that AMQP runs on: a handler that blocks every thread of the application must not stop heartbeats.

use std::{fmt, io};

use tokio::runtime::{Builder, Handle, Runtime};

/// One worker thread for all connections of a handle. It outlives them: each of them holds it.
pub(crate) struct AmqpThread {
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
    handle: Handle,
}

impl AmqpThread {
    /// Starts the thread.
    ///
    /// # Errors
    ///
    /// The operating system gives no thread.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("leveret-amqp")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        Ok(Self {
            runtime: Some(runtime),
            handle,
        })
    }

    /// What spawns on the thread.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl Drop for AmqpThread {
    /// Dropping a runtime waits for its tasks, which panics inside an async context; this neither waits nor panics.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for AmqpThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AmqpThread").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::AmqpThread;

    #[tokio::test]
    async fn the_thread_can_be_dropped_inside_async_code() {
        let thread = AmqpThread::start().expect("a thread");
        let name = thread
            .handle()
            .spawn(async { std::thread::current().name().map(str::to_owned) });

        assert_eq!(name.await.expect("the task").as_deref(), Some("leveret-amqp"));
        drop(thread);
    }
}
