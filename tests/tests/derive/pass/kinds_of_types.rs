//! Structs of every kind and enums, with and without a name of their own.
#![deny(warnings)]

use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendWelcome {
    user_id: u64,
}

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct HTTPPing(String, u16);

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct SendV2Mail;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
enum Cleanup {
    All,
    Older { days: u32 },
    Named(String),
}

#[allow(non_camel_case_types)]
#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail")]
struct r#type {}

mod nested {
    #[derive(serde::Serialize, serde::Deserialize, leveret::Job)]
    #[job(queue = "mail")]
    pub struct Moved;
}

#[deprecated]
#[derive(Serialize, Deserialize, Job)]
#[job(queue = leveret::Queue::new("mail"), max_attempts = 1)]
struct Retired;

fn name<J: Job>(_: &J) -> &'static str {
    J::NAME
}

fn main() {
    assert_eq!(name(&SendWelcome { user_id: 7 }), "send_welcome");
    assert_eq!(name(&HTTPPing(String::new(), 80)), "http_ping");
    assert_eq!(name(&SendV2Mail), "send_v2_mail");
    for job in [Cleanup::All, Cleanup::Older { days: 1 }, Cleanup::Named(String::new())] {
        assert_eq!(name(&job), "cleanup");
    }
    assert_eq!(name(&r#type {}), "type");
    assert_eq!(name(&nested::Moved), "moved");
}
