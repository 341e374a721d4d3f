use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", name = "", alias = "", alias = "two\nlines")]
struct Unusable;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", name = "a", alias = "a", alias = "b", alias = "c", alias = "b")]
struct Repeated;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", alias = "is_default")]
struct IsDefault;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", name = "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn")]
struct TooLong;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", name = 7, alias = old_name)]
struct NotText;

fn main() {}
