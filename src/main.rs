//! The `mingizuk` command: a command line over the two services, nothing else.

mod limits;
mod lock;
mod output;
mod serve;
mod signals;

use std::{
    fs::File,
    io::{BufWriter, Write},
    path::Path,
    process::ExitCode,
};

use api::demo::{self, DemoError, Plan};
use clap::{Parser, Subcommand};
use common::{
    bootstrap::{Backends, Shape, StartError},
    config::{Config, ConfigError},
    db::Db,
    ids::Env,
};

use self::output::print;

/// Every frame makes small allocations on every thread; the system's allocator takes 5 % to 20 % more processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Backend of Mingizuk: exercise, habits, a monster that grows, and meetups with a realtime room.
///
/// Without a command it runs everything in one process on the embedded database, and needs no other program.
/// Settings come from config/<profile>.toml and from MINGIZUK_… variables; `mingizuk config` prints them.
#[derive(Parser)]
#[command(version = env!("MINGIZUK_VERSION"), max_term_width = 120)]
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
    /// Fill the database with people, meetups and talk for trying it out and for load tests; refused in production.
    DemoData {
        /// Accounts to make.
        #[arg(long, default_value_t = 1_000)]
        users: usize,
        /// Meetups to open; half as many besides are about to begin, under way, over or cancelled.
        #[arg(long, default_value_t = 20)]
        meetups: usize,
        /// Members of each meetup.
        #[arg(long, default_value_t = 50)]
        members: usize,
        /// Days of workouts behind everyone.
        #[arg(long, default_value_t = 90)]
        days: u32,
        /// Where to write `user_id,nickname,access_token,room_id`, a line for each membership of the meetups to open.
        #[arg(long)]
        tokens: std::path::PathBuf,
        /// The same seed makes the same people say the same things.
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Print the OpenAPI document.
    Openapi,
    /// Print the effective configuration, secrets redacted.
    Config {
        /// Print the reference of all settings instead, as in docs/settings.md.
        #[arg(long)]
        reference: bool,
    },
}

/// Why a command failed: one sentence.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Serve(#[from] serve::ServeError),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error("cannot start the runtime: {0}")]
    Runtime(std::io::Error),
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        Self::Start(error.into())
    }
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Standard error may be closed; then the error cannot be reported.
            drop(writeln!(std::io::stderr(), "mingizuk: {failure}"));
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<Command>) -> Result<(), CommandError> {
    match command {
        Some(Command::Openapi) => print(&api::openapi_document()),
        Some(Command::Config { reference: true }) => print(&settings_reference()),
        command => with_config(command, Config::load(Path::new("."), variables())?)?,
    }
    Ok(())
}

/// Environment variables. Values that are not Unicode are converted lossily; a setting among them is refused by
/// validation.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

fn with_config(command: Option<Command>, config: Config) -> Result<(), CommandError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(CommandError::Runtime)?;
    match command {
        None => runtime.block_on(serve::serve(config, serve::Services::Both))?,
        Some(Command::Api) => runtime.block_on(serve::serve(config, serve::Services::Api))?,
        Some(Command::Gateway) => runtime.block_on(serve::serve(config, serve::Services::Gateway))?,
        Some(Command::Migrate) => runtime.block_on(migrate(&config))?,
        Some(Command::DemoData { users, meetups, members, days, tokens, seed }) => {
            let plan = Plan { users, meetups, members, days, seed };
            runtime.block_on(demo_data(config, plan, &tokens))?;
        }
        Some(Command::Config { .. } | Command::Openapi) => {
            let lines: Vec<String> = config.print().iter().map(|(name, value)| format!("{name}={value}")).collect();
            print(&lines.join("\n"));
        }
    }
    Ok(())
}

/// The table of `docs/settings.md`.
fn settings_reference() -> String {
    let head = "# Settings\n\nWritten by `mingizuk config --reference`. How profiles, files and variables work together is in \
                [operations.md](operations.md#settings).\n\n| variable | default | meaning |\n| --- | --- | --- |";
    let row = |[variable, default, meaning]: &[String; 3]| {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        format!("| `{variable}` | {default} | {} |", meaning.replace('|', "\\|"))
    };
    let rows: Vec<String> = Config::describe().iter().map(row).collect();
    format!("{head}\n{}", rows.join("\n"))
}

async fn migrate(config: &Config) -> Result<(), StartError> {
    let db = Db::connect(&config.database_url, 1).await.map_err(StartError::Database)?;
    db.migrate().await?;
    db.close().await;
    print("the schema is up to date");
    Ok(())
}

async fn demo_data(config: Config, plan: Plan, tokens: &Path) -> Result<(), CommandError> {
    demo::check(&config)?;
    let backends = Backends::connect(config, Shape::AllInOne, Env::default()).await?;
    let mut file = BufWriter::new(File::create(tokens).map_err(DemoError::File)?);
    let outcome = demo::fill(&backends, plan, &mut file).await;
    backends.close().await;
    outcome?;
    print(&format!("the tokens are in {}, valid for 24 hours; every password is {}", tokens.display(), demo::PASSWORD));
    Ok(())
}
