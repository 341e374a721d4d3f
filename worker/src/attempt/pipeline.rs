//! What an attempt of one job type goes through.

use std::fmt;
use std::sync::Arc;

use crate::blocking::Threads;
use crate::handler::Run;
use crate::middleware::Middleware;

/// The application's middlewares, outermost first, and the handler behind them.
pub(crate) struct Pipeline {
    pub(crate) middlewares: Vec<Arc<dyn Middleware>>,
    pub(crate) run: Box<Run>,
    /// Where the handler runs, if it blocks.
    pub(crate) threads: Option<Threads>,
}

impl fmt::Debug for Pipeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline")
            .field("middlewares", &self.middlewares.len())
            .field("threads", &self.threads)
            .finish_non_exhaustive()
    }
}
