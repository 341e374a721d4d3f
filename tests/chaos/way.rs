//! What stands between the programs and the broker.
//!
//! # Layout
//! - [`Hurdle`]: what may stand there; [`Way`]: what it is made of
//! - `hosts`: addresses of which only one leads to the broker
//! - [`Line`]: a network interface that the programs have to themselves

mod hosts;
mod line;

use std::any::Any;

use leveret_tests::{Node, Proxy};

pub(crate) use self::line::Line;

/// What may stand in the way.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Hurdle {
    /// Of two hosts one is dead.
    DeadHost,
    /// A name has three addresses: one refuses, one swallows everything, one is the broker's.
    DeadAddresses,
    /// Of two hosts, which are to speak TLS, one accepts and says nothing.
    SilentTls,
    /// A line of its own, whose speed and losses can be set. Takes root.
    Line,
}

/// What leads to the broker.
#[derive(Default)]
pub(crate) struct Way {
    /// Taken by the stage.
    pub(crate) node: Option<Node>,
    /// Taken by the stage.
    pub(crate) proxy: Option<Proxy>,
    /// Empty: that of the node or the proxy.
    pub(crate) url: String,
    /// What it has more in its query.
    pub(crate) query: String,
    /// The command that starts the programs.
    pub(crate) launcher: Vec<String>,
    pub(crate) line: Option<Line>,
    /// What has to stay until the end.
    kept: Vec<Box<dyn Any + Send + Sync>>,
}

impl Way {
    pub(crate) async fn lay(hurdle: Hurdle) -> Way {
        match hurdle {
            Hurdle::DeadHost => hosts::dead_host().await,
            Hurdle::DeadAddresses => hosts::dead_addresses().await,
            Hurdle::SilentTls => hosts::silent_tls().await,
            Hurdle::Line => Line::lay().await,
        }
    }

    fn keep(mut self, kept: impl Any + Send + Sync) -> Way {
        self.kept.push(Box::new(kept));
        self
    }
}
