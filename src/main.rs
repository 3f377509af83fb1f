//! The `mingizuk` command: a command line over the two services, nothing else.

mod limits;
mod serve;
mod signals;

use std::{io::Write, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use common::{
    bootstrap::StartError,
    config::{Config, ConfigError},
    db::Db,
};

/// Backend of Mingizuk: exercise, habits, a monster that grows, and meetups with a realtime room.
///
/// Without a command it runs everything in one process on the embedded database, and needs no other program.
/// Settings come from config/<profile>.toml and from MINGIZUK_… variables; `mingizuk config` prints them.
#[derive(Parser)]
#[command(version, max_term_width = 120)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the REST service alone; needs a shared database and Redis.
    Api,
    /// Run the chat gateway alone; needs a shared database and Redis.
    Gateway,
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the OpenAPI document.
    Openapi,
    /// Print the effective configuration, secrets redacted.
    Config,
}

/// Why a command failed: one sentence.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::Start(error.into())
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be closed; there is nobody left to tell then.
            drop(writeln!(std::io::stderr(), "mingizuk: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<Command>) -> Result<(), Failure> {
    if let Some(Command::Openapi) = command {
        print(&api::openapi_document());
        return Ok(());
    }
    let config = Config::load(Path::new("."), std::env::vars())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Runtime)?;
    match command {
        None => runtime.block_on(serve::serve(config, serve::Services::Both))?,
        Some(Command::Api) => runtime.block_on(serve::serve(config, serve::Services::Api))?,
        Some(Command::Gateway) => runtime.block_on(serve::serve(config, serve::Services::Gateway))?,
        Some(Command::Migrate) => runtime.block_on(migrate(&config))?,
        Some(Command::Config) => {
            let lines: Vec<String> = config.print().iter().map(|(name, value)| format!("{name}={value}")).collect();
            print(&lines.join("\n"));
        }
        Some(Command::Openapi) => {}
    }
    Ok(())
}

async fn migrate(config: &Config) -> Result<(), StartError> {
    let db = Db::connect(&config.database_url, 1).await.map_err(StartError::Database)?;
    db.migrate().await?;
    db.close().await;
    print("the schema is up to date");
    Ok(())
}

/// Prints a result. A reader that went away, such as `head`, is no reason to fail.
fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    drop(writeln!(stdout, "{text}").and_then(|()| stdout.flush()));
}
