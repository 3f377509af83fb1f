//! `loadtest quick`: some users with some requests each against one URL, without a script.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use super::run::{OutputArgs, execute, test_id};
use crate::script::{self, Options};

/// Sends some requests, or messages to a WebSocket, without a script.
#[derive(Args, Debug)]
pub struct Quick {
    /// URL: http, https, ws or wss.
    url: String,
    /// Users, who start within a second.
    #[arg(short, long, default_value_t = 10)]
    count: u64,
    /// Requests or messages of each.
    #[arg(short, long, default_value_t = 10)]
    num: u64,
    /// Take every certificate.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Send load to other machines too.
    #[arg(long)]
    allow_remote: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl Quick {
    /// Carries out the command.
    pub async fn run(self) -> ExitCode {
        let test_id = test_id();
        let is_socket = self.url.starts_with("ws");
        let step =
            if is_socket { json!({ "send": "hello from Artillery!" }) } else { json!({ "get": { "url": self.url } }) };
        let script = json!({
            "config": { "target": self.url, "phases": [{ "duration": 1, "arrivalCount": self.count }] },
            "scenarios": [{
                "engine": if is_socket { "ws" } else { "http" },
                "flow": [{ "loop": [step], "count": self.num }],
            }],
        });
        let options = Options {
            insecure: self.insecure,
            allow_remote: self.allow_remote,
            test_id: test_id.clone(),
            ..Options::default()
        };
        match script::load::load_text("quick", &script.to_string(), &options) {
            Ok(loaded) => execute(loaded, self.output, self.allow_remote, test_id).await,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
