use leveret::Job;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "")]
struct Empty;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "amq.mail")]
struct Reserved;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "two\tcolumns")]
struct Control;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq")]
struct TooLong;

#[derive(Serialize, Deserialize, Job)]
#[job(queue = 7)]
struct Number;

fn main() {}
