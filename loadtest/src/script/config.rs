//! Reader of `config`: phases, variables, settings of the engines, plugins and checks.

use std::time::Duration;

use super::{
    compiler::Compiler,
    expression::Formula,
    fields::Fields,
    flow::parse_jitter,
    node::{Node, Yaml},
    plan::{ChatSettings, Check, ExpectOptions, HttpSettings, Load, Phase, WsSettings},
    source::{Parsed, ScriptError},
    template::Template,
};

/// Highest arrival rate: ticks are whole microseconds.
const HIGHEST_RATE: f64 = 1_000_000.0;
/// Old keys of `ensure` that are statistics of `http.response_time`.
const OLD_CHECKS: [&str; 5] = ["min", "max", "median", "p95", "p99"];
/// Default of every timeout.
const TIMEOUT: Duration = Duration::from_secs(10);

impl Compiler {
    /// `config.phases`.
    ///
    /// # Errors
    /// When a phase is wrong.
    pub fn phases(&mut self, node: &Node, mode: Option<&Node>) -> Parsed<Vec<Phase>> {
        let poisson = mode.map(is_poisson).transpose()?.unwrap_or(false);
        node.one_or_many().iter().map(|phase| self.phase(phase, poisson)).collect()
    }

    fn phase(&mut self, node: &Node, poisson: bool) -> Parsed<Phase> {
        let mut fields = Fields::of(node, "phase")?;
        let name = fields.take("name").map(Node::string).transpose()?;
        let duration_node = fields.take("duration");
        let duration = duration_node.map(|node| self.duration(node)).transpose()?;
        let poisson = fields.take("mode").map(is_poisson).transpose()?.unwrap_or(poisson);
        let rate = fields.take("arrivalRate").map(|node| self.rate(node)).transpose()?;
        let ramp = fields.take("rampTo").map(|node| self.rate(node)).transpose()?;
        let count = fields.take("arrivalCount").map(Node::whole).transpose()?;
        let pause = fields.take("pause").map(|node| self.duration(node)).transpose()?;
        let users = fields.take("users").map(Node::whole).transpose()?;
        let max_users = fields.take("maxVusers").map(Node::whole).transpose()?;
        fields.finish(&mut self.notes)?;
        let needed = || {
            duration.ok_or_else(|| {
                ScriptError::at(node.at, "`duration` is missing in phase").help("write `duration: 60`, in seconds")
            })
        };
        let load = match (users, ramp, rate, count, pause) {
            (Some(users), None, None, None, None) => Load::Users { users, duration: needed()? },
            (Some(_), ..) => {
                let error = ScriptError::at(node.at, "`users` is a phase of its own");
                return Err(error.help("remove `arrivalRate`, `rampTo`, `arrivalCount` and `pause` from it"));
            }
            (_, Some(to), from, ..) if to != 0.0 || from.is_some_and(|from| from != 0.0) => {
                Load::Ramp { from: from.unwrap_or(0.0), to, duration: needed()? }
            }
            (_, _, Some(0.0), _, _) if self.as_artillery => {
                self.warn(node.at, "a phase with `arrivalRate: 0` is skipped, as Artillery does");
                Load::Pause(Duration::ZERO)
            }
            (_, _, Some(rate), ..) if rate > 0.0 => Load::Rate { rate, duration: needed()?, poisson },
            (_, _, _, Some(count), _) => Load::Count { count, duration: needed()? },
            (_, _, _, _, Some(pause)) => Load::Pause(pause),
            (_, _, Some(_), ..) | (_, Some(_), ..) => Load::Pause(needed()?),
            _ => {
                let error = ScriptError::at(node.at, "nothing says what happens in this phase");
                return Err(error.help("write one of `arrivalRate`, `rampTo`, `arrivalCount`, `pause`, `users`"));
            }
        };
        Ok(Phase { name, load, max_users })
    }

    fn rate(&self, node: &Node) -> Parsed<f64> {
        let rate = node.number()?;
        if !(0.0..=HIGHEST_RATE).contains(&rate) {
            return Err(ScriptError::at(node.at, "a rate is a number from 0 to 1,000,000 per second"));
        }
        Ok(rate)
    }

    /// `config.http`, with the timeout of all engines.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn http_settings(&mut self, node: Option<&Node>, timeout: Option<&Node>) -> Parsed<HttpSettings> {
        let mut settings = HttpSettings { timeout: TIMEOUT, pool: None, extended_metrics: false, tracing: false };
        if let Some(node) = node {
            let mut fields = Fields::of(node, "http")?;
            if let Some(timeout) = fields.take("timeout") {
                settings.timeout = seconds(timeout)?;
            }
            settings.pool = match fields.take("pool") {
                Some(pool) => Some(usize::try_from(pool.whole()?).unwrap_or(usize::MAX).max(1)),
                None => None,
            };
            settings.extended_metrics = fields.take("extendedMetrics").map(Node::boolean).transpose()?.unwrap_or(false);
            if let Some(tracing) = fields.take("distributedTracing") {
                settings.tracing = self.tracing(tracing)?;
            }
            // Read by `default_values`; the others change nothing in Artillery either.
            for name in ["defaults", "maxSockets", "cookieJarOptions"] {
                fields.take(name);
            }
            fields.finish(&mut self.notes)?;
        }
        if let Some(timeout) = timeout {
            settings.timeout = seconds(timeout)?;
        }
        Ok(settings)
    }

    fn tracing(&mut self, node: &Node) -> Parsed<bool> {
        let Yaml::Map(_) = node.value else { return node.boolean() };
        let mut fields = Fields::of(node, "distributedTracing")?;
        let enabled = fields.take("enabled").map(Node::boolean).transpose()?.unwrap_or(true);
        fields.refuse("traceIdPrefix", "trace ids are random")?;
        fields.take("sampled");
        fields.finish(&mut self.notes)?;
        Ok(enabled)
    }

    /// `config.defaults` and `config.http.defaults`; the latter wins as a whole for each key.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn default_values(&mut self, node: &Node) -> Parsed {
        let mut fields = Fields::of(node, "defaults")?;
        if let Some(headers) = fields.take("headers") {
            self.default_headers = self.headers(headers)?;
        }
        if let Some(cookies) = fields.take("cookie") {
            self.default_cookies = self.texts(cookies)?;
        }
        if let Some(strict) = fields.take("strictCapture") {
            self.strict_capture = strict.boolean()?;
        }
        if let Some(think) = fields.take("think") {
            let mut think = Fields::of(think, "think")?;
            self.think_jitter = think.take("jitter").map(parse_jitter).transpose()?;
            think.finish(&mut self.notes)?;
        }
        fields.finish(&mut self.notes)
    }

    /// `config.ws`.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn ws_settings(&mut self, node: Option<&Node>, timeout: Option<&Node>) -> Parsed<WsSettings> {
        let mut own = None;
        let mut settings = WsSettings::default();
        if let Some(node) = node {
            let mut fields = Fields::of(node, "ws")?;
            settings = self.ws_fields(&mut fields)?;
            own = fields.take("timeout").map(seconds).transpose()?;
            for name in ["rejectUnauthorized", "perMessageDeflate"] {
                fields.take(name);
            }
            fields.finish(&mut self.notes)?;
        }
        settings.timeout = timeout.map(seconds).transpose()?.or(own).unwrap_or(TIMEOUT);
        Ok(settings)
    }

    /// `config.ensure`, or the options of the plugin.
    ///
    /// # Errors
    /// When a check is wrong.
    pub fn checks(&mut self, node: &Node, checks: &mut Vec<Check>) -> Parsed {
        let mut fields = Fields::of(node, "ensure")?;
        for item in fields.take("thresholds").into_iter().flat_map(Node::one_or_many) {
            for (key, value) in item.entries()? {
                let max = value.number()?;
                let text = format!("{} < {max}", key.text);
                let limit = Some((key.text.clone(), max));
                let formula = Formula::Binary(
                    super::expression::Binary::Less,
                    Box::new(Formula::Name(key.text.clone())),
                    Box::new(Formula::Number(max)),
                );
                checks.push(Check { text, formula, strict: true, limit });
            }
        }
        for item in fields.take("conditions").into_iter().flat_map(Node::one_or_many) {
            let mut condition = Fields::of(item, "condition")?;
            let expression = condition
                .take("expression")
                .ok_or_else(|| ScriptError::at(item.at, "`expression` is missing in condition"))?;
            let strict = condition.take("strict").map(Node::boolean).transpose()?.unwrap_or(true);
            condition.finish(&mut self.notes)?;
            let formula = self.formula(expression)?;
            checks.push(Check { text: expression.string()?, formula, strict, limit: None });
        }
        for name in OLD_CHECKS {
            if let Some(value) = fields.take(name) {
                let metric = format!("http.response_time.{name}");
                let max = value.number()?;
                let formula = Formula::compile(&format!("{metric} < {max}"));
                let formula = formula.map_err(|error| ScriptError::at(value.at, error))?;
                checks.push(Check {
                    text: format!("{name} < {max}"),
                    formula,
                    strict: true,
                    limit: Some((metric, max)),
                });
            }
        }
        if let Some(value) = fields.take("maxErrorRate") {
            let max = value.number()?;
            let text = format!("((vusers.created - vusers.completed)/vusers.created * 100) <= {max}");
            let formula = Formula::compile(&text).map_err(|error| ScriptError::at(value.at, error))?;
            checks.push(Check { text: format!("maxErrorRate < {max}"), formula, strict: true, limit: None });
        }
        fields.finish(&mut self.notes)
    }

    /// Options of the plugin `expect`.
    ///
    /// # Errors
    /// When one is wrong.
    pub fn expect_options(&mut self, node: &Node) -> Parsed<ExpectOptions> {
        let mut options = ExpectOptions::default();
        if !matches!(node.value, Yaml::Map(_)) {
            return Ok(options);
        }
        let mut fields = Fields::of(node, "expect")?;
        let format = fields.take("outputFormat").or_else(|| fields.take("formatter"));
        fields.take("formatter");
        if let Some(format) = format {
            let name = format.string()?;
            let known = ["pretty", "json", "prettyError", "silent"];
            if !known.contains(&name.as_str()) {
                return Err(ScriptError::at(format.at, format!("unknown format `{name}`")).nearest(&name, known));
            }
            options.silent = name == "silent";
        }
        let mut flag = |name| fields.take(name).map(Node::boolean).transpose().map(|flag| flag.unwrap_or(false));
        options.report_failures_as_errors = flag("reportFailuresAsErrors")?;
        options.expect_default_200 = flag("expectDefault200")?;
        flag("useOnlyRequestNames")?;
        fields.finish(&mut self.notes)?;
        Ok(options)
    }

    /// Options of the plugin `metrics-by-endpoint`.
    ///
    /// # Errors
    /// When one is wrong.
    pub fn endpoint_options(&mut self, node: &Node) -> Parsed {
        if !matches!(node.value, Yaml::Map(_)) {
            return Ok(());
        }
        // A plugin with options of its own has other defaults than one that is not named.
        let mut fields = Fields::of(node, "metrics-by-endpoint")?;
        let mut flag =
            |name, default| fields.take(name).map(Node::boolean).transpose().map(|flag| flag.unwrap_or(default));
        self.endpoints.only_names = flag("useOnlyRequestNames", false)?;
        self.endpoints.strip_query = flag("stripQueryString", false)?;
        self.endpoints.group = flag("groupDynamicURLs", true)?;
        flag("suppressOutput", true)?;
        self.endpoints.ignore_unnamed = flag("ignoreUnnamedRequests", false)?;
        fields.finish(&mut self.notes)
    }

    /// `config.apdex`, or the options of the plugin: the threshold in ms.
    ///
    /// # Errors
    /// When it is no number.
    pub fn apdex(&mut self, node: &Node) -> Parsed<f64> {
        if !matches!(node.value, Yaml::Map(_)) {
            return Ok(500.0);
        }
        let mut fields = Fields::of(node, "apdex")?;
        let threshold = fields.take("threshold").map(Node::number).transpose()?.unwrap_or(500.0);
        fields.finish(&mut self.notes)?;
        Ok(threshold)
    }

    /// `config.chat`, the project's own extension.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn chat(&mut self, node: &Node) -> Parsed<ChatSettings> {
        let mut fields = Fields::of(node, "chat")?;
        let room = fields.take("room").map(|node| self.template(node)).transpose()?;
        let joined = fields.take("joined").map(Node::json);
        let grace = fields.take("grace").map(|node| self.duration(node)).transpose()?;
        fields.finish(&mut self.notes)?;
        Ok(ChatSettings {
            room: room.unwrap_or_else(|| Template::Text("all".to_owned())),
            joined,
            grace: grace.unwrap_or(Duration::from_secs(2)),
        })
    }
}

/// A number of seconds, as timeouts are written.
///
/// # Errors
/// When it is none.
pub fn seconds(node: &Node) -> Parsed<Duration> {
    Duration::try_from_secs_f64(node.number()?)
        .ok()
        .filter(|timeout| !timeout.is_zero())
        .ok_or_else(|| ScriptError::at(node.at, "a timeout is a positive number of seconds"))
}

fn is_poisson(node: &Node) -> Parsed<bool> {
    let name = node.string()?;
    match name.as_str() {
        "poisson" => Ok(true),
        "uniform" => Ok(false),
        _ => Err(ScriptError::at(node.at, format!("unknown mode `{name}`")).nearest(&name, ["uniform", "poisson"])),
    }
}
