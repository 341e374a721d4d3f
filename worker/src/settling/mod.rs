//! From a verdict to what is told to the broker: the part that workers and fetchers share.
//!
//! # Layout
//! `reading` makes an attempt's facts of a message, `deed` a deed of a verdict, [`Successors`] the message that takes a job's place, and
//! `successor` gets that confirmed.

mod deed;
mod reading;
mod successor;
mod successors;

pub(crate) use deed::{Deed, log};
pub(crate) use reading::read;
pub(crate) use successor::{Purpose, Sent, Successor};
pub(crate) use successors::Successors;
