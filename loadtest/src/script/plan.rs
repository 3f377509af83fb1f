//! Plan of a load test: a script with its configuration, checked and compiled. Nothing in it needs the script's text.

use std::{collections::HashMap, sync::Arc, time::Duration};

use serde_json::Value;

use super::{
    expression::Formula,
    jsonpath::Query,
    template::{JsonTemplate, Template},
};

/// Everything that a run needs.
#[derive(Debug)]
pub struct Plan {
    /// Path of the script as given.
    pub script: String,
    /// Base URL of the system under test.
    pub target: String,
    /// Name of the environment, if one was chosen.
    pub environment: Option<String>,
    /// Phases, in order.
    pub phases: Vec<Phase>,
    /// Scenarios that users choose from.
    pub scenarios: Vec<Scenario>,
    /// Runs once before the phases; all users have its captures.
    pub before: Option<Scenario>,
    /// Runs once after them.
    pub after: Option<Scenario>,
    /// Data files.
    pub payloads: Vec<Payload>,
    /// Variables of each user. A list gives one random element.
    pub variables: Vec<(String, JsonTemplate)>,
    /// Variables that are the same for all users, such as `$env`.
    pub constants: HashMap<String, Value>,
    /// Settings of the http engine.
    pub http: HttpSettings,
    /// Settings of the ws engine.
    pub ws: WsSettings,
    /// Settings of the socketio engine.
    pub socketio: SocketSettings,
    /// Whether certificates are checked.
    pub verify_certificates: bool,
    /// Checks of `ensure`.
    pub checks: Vec<Check>,
    /// Response time in ms up to which a user is satisfied, if the plugin is on.
    pub apdex: Option<f64>,
    /// Options of `expect`, if the plugin is on.
    pub expect: Option<ExpectOptions>,
    /// Options of `metrics-by-endpoint`.
    pub endpoints: EndpointOptions,
    /// The project's own chat measurements, if the script asks for them.
    pub chat: Option<ChatSettings>,
    /// Whether Artillery's traps are wanted.
    pub as_artillery: bool,
}

/// One phase of load.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// Name in the script.
    pub name: Option<String>,
    /// What happens in it.
    pub load: Load,
    /// Arrivals that find this many users running are dropped.
    pub max_users: Option<u64>,
}

/// What a phase does.
#[derive(Clone, Debug, PartialEq)]
pub enum Load {
    /// Arrivals at a constant rate (open model).
    Rate {
        /// Arrivals per second.
        rate: f64,
        /// Length.
        duration: Duration,
        /// Gaps drawn from an exponential distribution, instead of equal ones.
        poisson: bool,
    },
    /// Arrivals at a rate that changes from second to second (open model).
    Ramp {
        /// First rate.
        from: f64,
        /// Last rate.
        to: f64,
        /// Length.
        duration: Duration,
    },
    /// A number of arrivals, evenly spread (open model).
    Count {
        /// Arrivals.
        count: u64,
        /// Length.
        duration: Duration,
    },
    /// Nobody arrives.
    Pause(Duration),
    /// A constant number of users; each that ends is replaced (closed model).
    Users {
        /// Users at any time.
        users: u64,
        /// Length.
        duration: Duration,
    },
}

impl Load {
    /// Length of the phase.
    #[must_use]
    pub fn duration(&self) -> Duration {
        match self {
            Self::Rate { duration, .. }
            | Self::Ramp { duration, .. }
            | Self::Count { duration, .. }
            | Self::Users { duration, .. }
            | Self::Pause(duration) => *duration,
        }
    }
}

impl std::fmt::Display for Load {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rate { rate, poisson: false, .. } => write!(f, "{rate} arrivals/s"),
            Self::Rate { rate, poisson: true, .. } => write!(f, "{rate} arrivals/s, Poisson"),
            Self::Ramp { from, to, .. } => write!(f, "{from} to {to} arrivals/s"),
            Self::Count { count, .. } => write!(f, "{count} arrivals"),
            Self::Pause(_) => f.write_str("pause"),
            Self::Users { users, .. } => write!(f, "{users} users (closed model)"),
        }
    }
}

/// Program that talks to the system under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of scripts")]
pub enum Engine {
    Http,
    Ws,
    SocketIo,
}

impl Engine {
    /// Its name in scripts.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Ws => "ws",
            Self::SocketIo => "socketio",
        }
    }
}

/// What one kind of user does.
#[derive(Debug)]
pub struct Scenario {
    /// Name in the script, or its index.
    pub name: String,
    /// Engine of its steps.
    pub engine: Engine,
    /// Share of the users; a template of their variables, or a number.
    pub weight: Template,
    /// Steps, in order.
    pub flow: Vec<Step>,
    /// Options of its WebSocket: the step `connect`.
    pub connect: Option<WsSettings>,
    /// Options of its Socket.IO connections.
    pub socketio: Option<SocketSettings>,
    /// Whether a step waits for a message that may have come before it.
    pub waits: bool,
}

/// One step of a flow.
#[derive(Debug)]
pub enum Step {
    /// An HTTP request.
    Request(Box<Request>),
    /// Nothing for a while.
    Think {
        /// How long: a number or a text with a unit.
        duration: JsonTemplate,
        /// Half of the width of the random part.
        jitter: Option<Jitter>,
    },
    /// A line for people.
    Log(Template),
    /// Steps that are repeated.
    Loop(Box<Repetition>),
    /// Steps that run at the same time.
    Parallel {
        /// The steps.
        steps: Vec<Step>,
        /// Most at a time.
        limit: usize,
    },
    /// A message to the WebSocket.
    Send(Box<Send>),
    /// The next message of the WebSocket.
    Wait(Answer),
    /// An event to a Socket.IO namespace.
    Emit(Box<Emit>),
}

/// Random part of a `think`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Jitter {
    /// In percent of the duration.
    Percent(f64),
    /// In milliseconds.
    Millis(f64),
}

/// A loop.
#[derive(Debug)]
pub struct Repetition {
    /// Repeated steps.
    pub steps: Vec<Step>,
    /// How often.
    pub turns: Turns,
    /// Variable of the counter.
    pub counter: String,
    /// Variable of the element.
    pub element: String,
}

/// How often a loop turns.
#[derive(Debug)]
pub enum Turns {
    /// `N` or `a-b`: from a to b − 1.
    Count(Template),
    /// Until the user ends.
    Forever,
    /// Once for each item.
    Over(Vec<JsonTemplate>),
    /// Once for each item of a variable.
    OverVariable(Template),
}

/// An HTTP request.
#[derive(Debug)]
pub struct Request {
    /// Method.
    pub method: hyper::Method,
    /// URL; a path is appended to the target.
    pub url: Template,
    /// Name in `metrics-by-endpoint`; `None`: made of the rendered URL.
    pub endpoint: Option<String>,
    /// The request's own name.
    pub name: Option<Template>,
    /// Headers in lower case, the defaults included.
    pub headers: Vec<(String, Template)>,
    /// Query parameters that are added.
    pub query: Vec<(String, JsonTemplate)>,
    /// Cookies that are sent once.
    pub cookies: Vec<(String, Template)>,
    /// Body.
    pub body: Body,
    /// User and password.
    pub auth: Option<(Template, Template)>,
    /// Whether compressed answers are asked for.
    pub gzip: bool,
    /// Whether redirects are followed.
    pub follow: bool,
    /// Chance in percent that it is sent.
    pub probability: Option<f64>,
    /// It is sent only if this holds.
    pub condition: Option<Formula>,
    /// What is read from the answer.
    pub answer: Answer,
    /// Checks of the plugin `expect`.
    pub expectations: Vec<Expectation>,
}

/// Body of a request.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// JSON.
    Json(JsonTemplate),
    /// A text as it is.
    Text(Template),
    /// `application/x-www-form-urlencoded`.
    Form(Vec<(String, JsonTemplate)>),
    /// `multipart/form-data`.
    Multipart(Vec<FormPart>),
}

/// Part of a multipart body.
#[derive(Debug)]
pub struct FormPart {
    /// Name of the field.
    pub name: String,
    /// A text, or a file with its name.
    pub content: PartContent,
    /// `Content-Type` of the part.
    pub content_type: Option<String>,
}

/// Content of a part.
#[derive(Debug)]
pub enum PartContent {
    /// A text.
    Text(JsonTemplate),
    /// A file, read when the script was.
    File {
        /// Name without its folder.
        name: String,
        /// What is in it.
        bytes: Arc<[u8]>,
    },
}

/// What is taken from an answer and what it must be.
#[derive(Debug, Default)]
pub struct Answer {
    /// Variables that are set.
    pub captures: Vec<Capture>,
    /// Values that must be equal.
    pub matches: Vec<Match>,
}

impl Answer {
    /// Whether nothing is asked of the answer.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.captures.is_empty() && self.matches.is_empty()
    }
}

/// A variable read from an answer.
#[derive(Debug)]
pub struct Capture {
    /// Name of the variable.
    pub name: String,
    /// Where it is read.
    pub from: Extract,
    /// Whether the user fails without a value.
    pub strict: bool,
}

/// A value of an answer that must be equal to another.
#[derive(Debug)]
pub struct Match {
    /// Where it is read.
    pub from: Extract,
    /// What it must be.
    pub value: JsonTemplate,
    /// Whether the user fails otherwise.
    pub strict: bool,
}

/// Place in an answer.
#[derive(Debug)]
pub enum Extract {
    /// JSONPath; several hits give one at random, or with `multiple: false` the first.
    Json {
        /// The path, or a template that makes it.
        query: QuerySource,
        /// Whether several hits are one at random.
        multiple: bool,
    },
    /// Regular expression on the body.
    Regexp {
        /// The expression.
        pattern: Box<fancy_regex::Regex>,
        /// The group; the whole match without one.
        group: Option<Group>,
    },
    /// A header.
    Header(String),
}

/// A JSONPath that is known, or depends on variables.
#[derive(Debug)]
pub enum QuerySource {
    /// Known.
    Fixed(Query),
    /// To be rendered first.
    Template(Template),
}

/// Group of a regular expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// By number.
    Number(usize),
    /// By name.
    Name(String),
}

/// A check of the plugin `expect`.
#[derive(Debug)]
pub struct Expectation {
    /// Kind of check.
    pub kind: ExpectationKind,
    /// What is expected.
    pub value: JsonTemplate,
}

/// Kinds of checks of the plugin `expect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of scripts")]
pub enum ExpectationKind {
    StatusCode,
    NotStatusCode,
    ContentType,
    HasProperty,
    NotHasProperty,
    Equals,
    HasHeader,
    HeaderEquals,
    MatchesRegexp,
}

impl ExpectationKind {
    /// All kinds.
    pub const ALL: [Self; 9] = [
        Self::StatusCode,
        Self::NotStatusCode,
        Self::ContentType,
        Self::HasProperty,
        Self::NotHasProperty,
        Self::Equals,
        Self::HasHeader,
        Self::HeaderEquals,
        Self::MatchesRegexp,
    ];

    /// Its name in scripts and counters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::StatusCode => "statusCode",
            Self::NotStatusCode => "notStatusCode",
            Self::ContentType => "contentType",
            Self::HasProperty => "hasProperty",
            Self::NotHasProperty => "notHasProperty",
            Self::Equals => "equals",
            Self::HasHeader => "hasHeader",
            Self::HeaderEquals => "headerEquals",
            Self::MatchesRegexp => "matchesRegexp",
        }
    }
}

/// A message to a WebSocket.
#[derive(Debug)]
pub struct Send {
    /// What is sent: a text as it is, anything else as JSON.
    pub payload: JsonTemplate,
    /// What the next message must be; not waited for if it is empty.
    pub answer: Answer,
    /// Whether the payload carries a stamp of the chat extension.
    pub stamped: bool,
}

/// An event to a Socket.IO server.
#[derive(Debug)]
pub struct Emit {
    /// Namespace, such as `/chat`; empty for the default one.
    pub namespace: Template,
    /// Name of the event and its arguments.
    pub arguments: Vec<JsonTemplate>,
    /// An event that is waited for.
    pub response: Option<Response>,
    /// The callback that is waited for.
    pub acknowledge: Option<Expected>,
}

/// An event that is waited for.
#[derive(Debug)]
pub struct Response {
    /// Name of the event.
    pub event: Template,
    /// What its arguments must be.
    pub expected: Expected,
}

/// What arguments must be.
#[derive(Debug, Default)]
pub struct Expected {
    /// Compared with the last argument: a text as a substring, a mapping by equality.
    pub data: Option<JsonTemplate>,
    /// Compared with all arguments.
    pub arguments: Option<Vec<JsonTemplate>>,
    /// A text is looked for in all arguments together.
    pub concat: bool,
    /// What is read from the list of arguments.
    pub answer: Answer,
}

/// Settings of the http engine.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// Until the headers of the answer.
    pub timeout: Duration,
    /// Connections that all users share; without it each has its own.
    pub pool: Option<usize>,
    /// Whether connecting and the whole answer are timed too.
    pub extended_metrics: bool,
    /// Whether a `traceparent` header is sent.
    pub tracing: bool,
}

/// Settings of the ws engine.
#[derive(Clone, Debug, Default)]
pub struct WsSettings {
    /// URL; without it the target.
    pub url: Option<Template>,
    /// Subprotocols.
    pub subprotocols: Vec<Template>,
    /// Headers of the upgrade.
    pub headers: Vec<(String, Template)>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// Settings of Socket.IO connections.
#[derive(Clone, Debug, Default)]
pub struct SocketSettings {
    /// How long a connection and an answer are waited for.
    pub timeout: Duration,
    /// Path of the server; `/socket.io/`.
    pub path: Option<Template>,
    /// Query parameters.
    pub query: Vec<(String, JsonTemplate)>,
    /// Headers of the upgrade.
    pub headers: Vec<(String, Template)>,
    /// What is sent when a namespace is connected.
    pub auth: Option<JsonTemplate>,
}

/// A data file.
#[derive(Debug)]
pub struct Payload {
    /// Rows.
    pub data: Rows,
    /// Which row a user gets.
    pub order: Order,
}

/// Rows of a data file.
#[derive(Debug)]
pub enum Rows {
    /// One row for each user: names of the variables, values.
    Each {
        /// Names of the variables.
        fields: Vec<String>,
        /// Values.
        rows: Vec<Vec<Value>>,
    },
    /// All rows for every user, as a list in one variable.
    All {
        /// Name of the variable.
        name: String,
        /// The rows as mappings.
        rows: Value,
    },
}

/// Which row a user gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of scripts")]
pub enum Order {
    Sequence,
    Random,
    /// Each row exactly once; then nobody arrives any more.
    Once,
}

/// A check of `ensure`.
#[derive(Clone, Debug)]
pub struct Check {
    /// As it is printed.
    pub text: String,
    /// The expression.
    pub formula: Formula,
    /// Whether its failure makes the run fail.
    pub strict: bool,
    /// The metric and its limit, if the check is an upper limit: it can then fail before the end.
    pub limit: Option<(String, f64)>,
}

/// Options of the plugin `expect`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ExpectOptions {
    /// Whether a failure ends the user.
    pub report_failures_as_errors: bool,
    /// Whether 200 is expected where nothing else is.
    pub expect_default_200: bool,
    /// Whether failures are printed.
    pub silent: bool,
}

/// Options of the plugin `metrics-by-endpoint`.
#[derive(Clone, Copy, Debug)]
pub struct EndpointOptions {
    /// The request's name alone.
    pub only_names: bool,
    /// Without `?…`.
    pub strip_query: bool,
    /// The URL as written; else as rendered.
    pub group: bool,
    /// Requests without a name are not in it.
    pub ignore_unnamed: bool,
}

/// The chat extension of a script, `config.chat`.
#[derive(Clone, Debug)]
pub struct ChatSettings {
    /// Room of the user, rendered for each.
    pub room: Template,
    /// A message by which the user knows to be in the room; without it, as soon as the socket is open.
    pub joined: Option<Value>,
    /// How long after sending a message may come and not count as lost.
    pub grace: Duration,
}
