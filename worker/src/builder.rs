//! How a worker is put together: [`WorkerBuilder`].

mod retrying;

use std::net::ToSocketAddrs;
use std::time::Duration;

use leveret::{Job, Queue};

use crate::blocking::IntoBlockingHandler;
use crate::config::{QueueSetting, Unknown};
use crate::handler::{ByType, Handler, IntoHandler};
use crate::kill_switch::KillSwitch;
use crate::middleware::Middleware;
use crate::plan::{BuildError, Draft, Route};
use crate::source::Source;
use crate::worker::Worker;

/// Puts a worker together. Nothing is checked before [`WorkerBuilder::build`], which reports everything at once.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build()`"]
pub struct WorkerBuilder {
    source: Source,
    pub(crate) draft: Draft,
}

impl WorkerBuilder {
    pub(crate) fn new(source: Source) -> Self {
        Self {
            source,
            draft: Draft::default(),
        }
    }

    /// Checks everything, without any I/O.
    ///
    /// # Errors
    /// [`BuildError`] with one sentence for each problem, all of them at once: a URL that cannot be used, two handlers of a job, a name or
    /// alias claimed twice, a state that a handler takes and the worker lacks, two definitions of a queue, a timeout that the broker would
    /// not wait for, a number out of range, a queue without jobs, a schedule that cannot be kept, no handler at all.
    pub fn build(self) -> Result<Worker, BuildError> {
        match (self.source.resolve(), self.draft.plan()) {
            (Ok(connection), Ok(plan)) => Ok(Worker::new(plan, connection)),
            (Ok(_), Err(error)) => Err(error),
            (Err(problem), Ok(_)) => Err(BuildError::from(vec![problem])),
            (Err(problem), Err(error)) => Err(error.after(problem)),
        }
    }

    /// Names the worker, in the record of failures and in [`Context::worker`](crate::Context::worker). `leveret` by default. The
    /// name that the broker's operator sees is [`ConnectOptions::connection_name`](leveret::ConnectOptions::connection_name).
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.draft.settings.name = name.into();
        self
    }

    /// Gives the handlers a value, which they take as [`State<T>`](crate::State). One value per type.
    pub fn state<T: Clone + Send + Sync + 'static>(mut self, value: T) -> Self {
        if !self.draft.states.put(value) {
            self.draft.problems.push(format!(
                "the worker is given two states of type `{}`: wrap one of them in a type of its own",
                std::any::type_name::<T>()
            ));
        }
        self
    }

    /// Registers an async function, or a type with one [`Handler`] implementation. Queue, name, retry policy and
    /// timeout come from the job type.
    pub fn register<M>(mut self, handler: impl IntoHandler<M>) -> Self {
        self.draft.registrations.push(handler.into_handler());
        self
    }

    /// Registers a type that implements [`Handler`] for several jobs, for one of them.
    ///
    /// ```
    /// # use leveret::Job;
    /// # use leveret_worker::{Context, Handler, Worker, async_trait};
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct Welcome { user_id: u64 }
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail")]
    /// # struct Goodbye { user_id: u64 }
    /// #[derive(Clone)]
    /// struct Mailer;
    ///
    /// #[async_trait]
    /// impl Handler<Welcome> for Mailer {
    ///     type Output = ();
    ///     async fn run(&self, job: Welcome, _: Context) {
    ///         println!("welcome, {}", job.user_id);
    ///     }
    /// }
    /// # #[async_trait]
    /// # impl Handler<Goodbye> for Mailer {
    /// #     type Output = ();
    /// #     async fn run(&self, job: Goodbye, _: Context) { println!("goodbye, {}", job.user_id); }
    /// # }
    ///
    /// let worker = Worker::builder("memory://")
    ///     .register_for::<Welcome>(Mailer)
    ///     .register_for::<Goodbye>(Mailer)
    ///     .build()?;
    /// # Ok::<(), leveret_worker::BuildError>(())
    /// ```
    pub fn register_for<J: Job>(mut self, handler: impl Handler<J>) -> Self {
        self.draft
            .registrations
            .push(IntoHandler::<ByType<J>>::into_handler(handler));
        self
    }

    /// Registers a function that is not async, such as one that computes or uses a blocking client. It runs on a thread of its own, never on
    /// one that async handlers need.
    ///
    /// ```
    /// # use leveret::{Job, Queue};
    /// # use leveret_worker::{Context, Worker};
    /// # const PDFS: Queue = Queue::new("pdfs");
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = PDFS, timeout = "2m")]
    /// # struct RenderPdf { pages: u32 }
    /// fn render_pdf(job: RenderPdf, context: Context) -> Result<(), String> {
    ///     for page in 0..job.pages {
    ///         if context.is_cancelled() {
    ///             return Err(format!("stopped at page {page}"));
    ///         }
    ///         // … render the page
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let worker = Worker::builder("memory://").register_blocking(render_pdf).concurrency(&PDFS, 4).build()?;
    /// # Ok::<(), leveret_worker::BuildError>(())
    /// ```
    ///
    /// How many run at once: as many as their queue has slots. A queue whose handlers all block has by default one slot for each core of
    /// the machine, because what computes gains nothing from more; for handlers that wait for others, raise its
    /// [`concurrency`](Self::concurrency). [`blocking_threads`](Self::blocking_threads) limits all of them together.
    ///
    /// **A thread cannot be stopped.** At its time limit, and when the worker shuts down, a blocking handler is told so by its
    /// [`Context`](crate::Context) ([`is_cancelled`](crate::Context::is_cancelled)); until it returns it keeps its slot, and its job is not
    /// settled, so that the job never runs twice at once. If it then returns an error, the attempt has timed out; anything else
    /// counts as if it had come in time. So look at the context in long loops: a handler that outlives the broker's `consumer_timeout` loses its
    /// delivery (the same job delivered to this worker again joins the run, but another worker would begin anew), and one that outlives the
    /// shutdown's grace is left behind, its job delivered again elsewhere; Tokio's runtime waits for its thread when the process ends.
    pub fn register_blocking<M>(mut self, handler: impl IntoBlockingHandler<M>) -> Self {
        self.draft.registrations.push(handler.into_blocking_handler());
        self
    }

    /// Limits the threads of all blocking handlers of this worker together. By default there is one for each slot of their
    /// queues, so that none has to wait for another. A job that gets no thread within its time limit goes back to its queue, and no
    /// attempt is spent; waiting for one is part of that limit. The threads are those of Tokio's runtime, which has 512 at the most
    /// unless it is built with more.
    pub fn blocking_threads(mut self, threads: usize) -> Self {
        self.draft.settings.blocking_threads = Some(threads);
        self
    }

    /// Puts a [`Middleware`] around every attempt of every job. The first that is added is the outermost.
    pub fn middleware(mut self, middleware: impl Middleware) -> Self {
        self.draft.middlewares.add(middleware);
        self
    }

    /// Puts a [`Middleware`] around the attempts of one job type, inside those for every job.
    pub fn middleware_for<J: Job>(mut self, middleware: impl Middleware) -> Self {
        self.draft.middlewares.add_for(J::NAME, middleware);
        self
    }

    /// Consumes the jobs of type `J` from `queue` instead of their type's queue: a tenant's queue, a staging prefix.
    /// It counts for handlers registered before it as well as after. The producers of this worker (its handlers', its
    /// handle's) send them there too; others do with a [`route`](leveret::Producer::route) of their own.
    ///
    /// ```
    /// # use leveret::{Job, Queue};
    /// # use leveret_worker::Worker;
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail", timeout = "30s")]
    /// # struct SendWelcome { user_id: u64 }
    /// # async fn send_welcome(_: SendWelcome) {}
    /// let staging = Queue::named("staging-mail")?;
    /// let worker = Worker::builder("memory://")
    ///     .register(send_welcome)
    ///     .route::<SendWelcome>(staging.clone())
    ///     .concurrency(&staging, 4)
    ///     .build()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn route<J: Job>(mut self, queue: Queue) -> Self {
        self.draft.routes.push(Route::of::<J>(queue));
        self
    }

    /// How many jobs of `queue` run at once, 1 to 2,000. 10 by default. Handlers mostly wait for others (a database, an API), so
    /// the right number is how many such waits those others can take, not the number of cores.
    pub fn concurrency(mut self, queue: &Queue, jobs: usize) -> Self {
        self.draft.queues.push(QueueSetting {
            concurrency: Some(jobs),
            ..QueueSetting::of(queue)
        });
        self
    }

    /// How many jobs of `queue` the broker hands out before the first of them is settled; from its concurrency to
    /// 2,000. By default twice the concurrency, or as many as the concurrency where a job may run for over five
    /// minutes; and 200 once a hundred jobs in succession were so short that none of these would wait for long. More helps jobs of well below a
    /// millisecond; each fetched job is one that a crash delays. What is set here stays.
    pub fn prefetch(mut self, queue: &Queue, jobs: u16) -> Self {
        self.draft.queues.push(QueueSetting {
            prefetch: Some(jobs),
            ..QueueSetting::of(queue)
        });
        self
    }

    /// Stops `queue` while most of its attempts fail, and tries single jobs until they end well. Off by default. See [`KillSwitch`] for
    /// what counts and for the defaults.
    pub fn kill_switch(mut self, queue: &Queue, switch: KillSwitch) -> Self {
        self.draft.queues.push(QueueSetting {
            kill_switch: Some(switch),
            ..QueueSetting::of(queue)
        });
        self
    }

    /// What becomes of jobs that no handler is registered for. Dead letters, by default; see [`Unknown`] for rolling deploys.
    pub fn unknown_jobs(mut self, unknown: Unknown) -> Self {
        self.draft.settings.unknown = unknown;
        self
    }

    /// Answers probes over HTTP while the worker runs: `GET /live` with 200 unless the process had better be restarted, `GET /ready` with 200 while
    /// every queue is consumed; otherwise 503. The body is the line that [`WorkerHandle::health`](crate::WorkerHandle::health) prints, and says why
    /// not; there are no credentials and no job data in it. Off by default.
    ///
    /// It has a thread of its own, so it answers also while handlers block all others: that makes the worker not ready after two heartbeats, and not
    /// alive after a minute. An outage of the broker makes it not ready, and is no reason for a restart. The port is bound when the worker starts to
    /// run, which fails if it is taken, and is closed with the worker. Port 0 is any that is free:
    /// [`WorkerHandle::health_address`](crate::WorkerHandle::health_address). A host name is looked up here and now.
    ///
    /// ```
    /// # use leveret::{Job, Queue};
    /// # use leveret_worker::Worker;
    /// # #[derive(serde::Serialize, serde::Deserialize, Job)]
    /// # #[job(queue = "mail", timeout = "30s")]
    /// # struct SendWelcome { user_id: u64 }
    /// # async fn send_welcome(_: SendWelcome) {}
    /// let worker = Worker::builder("memory://")
    ///     .register(send_welcome)
    ///     .health_endpoint("0.0.0.0:8080") // or (Ipv4Addr::UNSPECIFIED, 8080), or a SocketAddr
    ///     .build()?;
    /// # Ok::<(), leveret_worker::BuildError>(())
    /// ```
    pub fn health_endpoint(mut self, address: impl ToSocketAddrs) -> Self {
        match address.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
            Ok(addresses) if !addresses.is_empty() => self.draft.settings.health_endpoint = Some(addresses),
            Ok(_) => self.draft.problems.push("the health endpoint has no address to listen on".to_owned()),
            Err(error) => self.draft.problems.push(format!(
                "the address of the health endpoint cannot be used ({error}): it is an IP address and a port, as in \"127.0.0.1:8080\""
            )),
        }
        self
    }

    /// How long running jobs may go on once a shutdown has begun; what still runs then is aborted and delivered again
    /// elsewhere. 25 seconds by default, five below what Kubernetes grants.
    pub fn shutdown_grace(mut self, grace: Duration) -> Self {
        self.draft.settings.shutdown_grace = grace;
        self
    }

    /// How long an attempt may run whose job type sets no timeout. 25 minutes by default.
    pub fn job_timeout(mut self, timeout: Duration) -> Self {
        self.draft.settings.job_timeout = timeout;
        self
    }

    /// The same for the jobs of one queue; it wins over the worker's. What the job type sets (`timeout = "…"`) wins over both, and what the
    /// producer sets for one job over everything.
    pub fn job_timeout_on(mut self, queue: &Queue, timeout: Duration) -> Self {
        let timeouts = &mut self.draft.settings.queue_timeouts;
        timeouts.insert(queue.name().to_owned(), timeout);
        self
    }

    /// What the broker allows between the delivery of a job and its ack (RabbitMQ's `consumer_timeout`; it cannot be
    /// read over AMQP). 30 minutes by default, as in RabbitMQ. All timeouts must stay a little below it.
    pub fn consumer_timeout(mut self, timeout: Duration) -> Self {
        self.draft.settings.consumer_timeout = timeout;
        self
    }
}
