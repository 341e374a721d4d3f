use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", retries = 3, Timeout = "1s")]
struct Unknown;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail", name = "a", queue = "news", name = "b")]
#[job(name = "c")]
struct Twice;

#[derive(Serialize, Deserialize, Job)]
#[job(queue, name = , timeout: "1s")]
struct WithoutValue;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "mail" name = "a", "timeout" = "1s", max_attempts = { 3 }, alias = )]
struct BadSyntax;

#[derive(Serialize, Deserialize, Job)]
#[job("mail")]
struct OnlyText;

// A misspelt `queue` is not reported as missing as well.
#[derive(Serialize, Deserialize, Job)]
#[job(queu = "mail")]
struct Misspelt;

fn main() {}
