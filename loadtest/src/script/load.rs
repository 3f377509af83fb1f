//! Loader: files, flags and environment become one plan, or one error that says where.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{
    compiler::{BUILT_IN, Compiler},
    fields::{Fields, Notes},
    flow::engine,
    node::{Lists, Node, Yaml},
    plan::{EndpointOptions, Engine, Load, Order, Phase, Plan, Rows},
    source::{At, Parsed, ScriptError, Sources},
    template::{Scope, Template},
    yaml,
};

/// What the command line says about the script.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Script files, merged in this order.
    pub scripts: Vec<PathBuf>,
    /// `--config`: merged after them.
    pub config: Option<PathBuf>,
    /// `-t`.
    pub target: Option<String>,
    /// `-e`.
    pub environment: Option<String>,
    /// `--overrides`: JSON that is merged; its lists replace.
    pub overrides: Option<String>,
    /// `-v`: JSON that is set into `config.variables`.
    pub variables: Option<String>,
    /// `-p`: path of the data file.
    pub payload: Option<PathBuf>,
    /// `-k`: certificates are not checked.
    pub insecure: bool,
    /// `--solo`: one user.
    pub solo: bool,
    /// `--dotenv`: file with variables of the environment.
    pub dotenv: Option<PathBuf>,
    /// `--scenario-name`.
    pub scenario_name: Option<String>,
    /// `--as-artillery`.
    pub as_artillery: bool,
    /// `--allow-remote`.
    pub allow_remote: bool,
    /// `$testId`.
    pub test_id: String,
}

/// A plan, and what is said about it before the run.
#[derive(Debug)]
pub struct Loaded {
    /// The plan.
    pub plan: Plan,
    /// Warnings for people, each with its place.
    pub warnings: Vec<String>,
}

/// Reads everything that the options name.
///
/// # Errors
/// The first mistake, with its place, for people.
pub fn load(options: &Options) -> Result<Loaded, String> {
    read(options, Sources::default(), None)
}

/// Reads a script that is given as a text, under a name for errors.
///
/// # Errors
/// The first mistake, with its place, for people.
pub fn load_text(name: &str, text: &str, options: &Options) -> Result<Loaded, String> {
    let mut sources = Sources::default();
    let file = sources.add(name, text);
    read(options, sources, Some(file))
}

fn read(options: &Options, mut sources: Sources, file: Option<usize>) -> Result<Loaded, String> {
    let mut loader = Loader { options, sources: &mut sources, file };
    match loader.load() {
        Ok((plan, warnings)) => {
            let warnings = warnings.iter().map(|warning| sources.render_warning(warning)).collect();
            Ok(Loaded { plan, warnings })
        }
        Err(error) => Err(sources.render(&error)),
    }
}

struct Loader<'a> {
    options: &'a Options,
    sources: &'a mut Sources,
    /// Number of a script that was given as a text.
    file: Option<usize>,
}

impl Loader<'_> {
    fn load(&mut self) -> Parsed<(Plan, Vec<ScriptError>)> {
        let mut root = self.documents()?;
        let mut notes = Notes { warnings: Vec::new(), lenient: self.options.as_artillery };
        if let Some(warning) = self.choose_environment(&mut root)? {
            notes.warnings.push(warning);
        }
        self.apply_flags(&mut root)?;
        let constants = self.constants()?;
        let load_scope = self.load_scope(&root, &constants);
        if let Some(config) = root.get_mut("config") {
            resolve(config, &load_scope, self.options.as_artillery);
        }
        self.compile(&root, constants, notes)
    }

    fn documents(&mut self) -> Parsed<Node> {
        let mut root: Option<Node> = self.file.map(|file| yaml::parse(self.sources, file)).transpose()?;
        for path in self.options.scripts.iter().chain(&self.options.config) {
            let known = ["yml", "yaml", "json"];
            let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
            if !known.contains(&extension.as_str()) {
                let error = ScriptError::new(format!("{}: only YAML and JSON scripts are read", path.display()));
                return Err(error.help("JavaScript and TypeScript are not run; write the script as .yml"));
            }
            let file = self.sources.read(path)?;
            let node = yaml::parse(self.sources, file)?;
            if !matches!(node.value, Yaml::Map(_)) {
                return Err(node.expected("a script with `config` and `scenarios`"));
            }
            match &mut root {
                Some(root) => root.merge(&node, Lists::ByIndex),
                None => root = Some(node),
            }
        }
        root.ok_or_else(|| ScriptError::new("no script"))
    }

    fn choose_environment(&self, root: &mut Node) -> Parsed<Option<ScriptError>> {
        let Some(name) = &self.options.environment else { return Ok(None) };
        let environments = root.get("config").and_then(|config| config.get("environments"));
        let names: Vec<&str> = match environments.map(Node::entries).transpose()? {
            Some(entries) => entries.iter().map(|(key, _)| key.text.as_str()).collect(),
            None => Vec::new(),
        };
        let Some(chosen) = environments.and_then(|environments| environments.get(name)).cloned() else {
            let title = format!("unknown environment `{name}`");
            let error =
                environments.map_or_else(|| ScriptError::new(title.clone()), |node| ScriptError::at(node.at, &title));
            let error = error.nearest(name, names);
            return if self.options.as_artillery { Ok(Some(error)) } else { Err(error) };
        };
        if let Some(config) = root.get_mut("config") {
            config.merge(&chosen, Lists::ByIndex);
        }
        Ok(None)
    }

    fn apply_flags(&mut self, root: &mut Node) -> Parsed {
        if let Some(target) = &self.options.target {
            let file = self.sources.add("--target", target.as_str());
            set_config(root, "target", Node::text(target, At { file, start: 0, end: target.len() }));
        }
        if let Some(json) = &self.options.overrides {
            let file = self.sources.add("--overrides", json.as_str());
            let overrides = yaml::parse(self.sources, file)?;
            overrides.entries()?;
            root.merge(&overrides, Lists::Replace);
        }
        if let Some(json) = &self.options.variables {
            let file = self.sources.add("--variables", json.as_str());
            let given = yaml::parse(self.sources, file)?;
            let mut variables = root
                .get("config")
                .and_then(|config| config.get("variables"))
                .cloned()
                .unwrap_or(Node { value: Yaml::Null, at: given.at });
            for (key, value) in given.entries()? {
                variables.set(&key.text, value.clone());
            }
            set_config(root, "variables", variables);
        }
        Ok(())
    }

    /// Variables that are the same for all users.
    fn constants(&mut self) -> Parsed<HashMap<String, Value>> {
        let mut environment: serde_json::Map<String, Value> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?.into())))
            .collect();
        if let Some(path) = &self.options.dotenv {
            let file = self.sources.read(path)?;
            for (name, value) in dotenv(self.sources.text(file)) {
                environment.entry(name).or_insert(value.into());
            }
        }
        let script = self.options.scripts.first().cloned().unwrap_or_default();
        let absolute = std::path::absolute(&script).unwrap_or(script);
        let folder = absolute.parent().unwrap_or(Path::new("/")).display().to_string();
        let mut constants = HashMap::from([
            ("$processEnvironment".to_owned(), Value::Object(environment.clone())),
            ("$env".to_owned(), Value::Object(environment)),
            ("$dirname".to_owned(), folder.into()),
            ("$scenarioFile".to_owned(), absolute.display().to_string().into()),
            ("$testId".to_owned(), self.options.test_id.clone().into()),
        ]);
        if let Some(name) = &self.options.environment {
            constants.insert("$environment".to_owned(), name.as_str().into());
        }
        Ok(constants)
    }

    /// What `config` is rendered with: the constants, and the variables of the command line.
    fn load_scope(&self, root: &Node, constants: &HashMap<String, Value>) -> HashMap<String, Value> {
        let mut scope = constants.clone();
        if self.options.variables.is_some() {
            let file = |at: At| self.sources.place(at).starts_with("--variables");
            let variables = root.get("config").and_then(|config| config.get("variables"));
            for (key, node) in variables.and_then(|node| node.entries().ok()).unwrap_or_default() {
                if file(node.at) {
                    scope.insert(key.text.clone(), node.json());
                }
            }
        }
        scope
    }

    fn compile(
        &mut self,
        root: &Node,
        constants: HashMap<String, Value>,
        notes: Notes,
    ) -> Parsed<(Plan, Vec<ScriptError>)> {
        let folder =
            self.options.scripts.first().and_then(|path| path.parent()).map(Path::to_owned).unwrap_or_default();
        let mut compiler = Compiler {
            notes,
            as_artillery: self.options.as_artillery,
            target: String::new(),
            only_loopback: !self.options.allow_remote,
            folder,
            default_headers: Vec::new(),
            default_cookies: Vec::new(),
            strict_capture: true,
            think_jitter: None,
            endpoints: EndpointOptions { only_names: false, strip_query: true, group: true, ignore_unnamed: false },
            expects: false,
            defined: BUILT_IN.iter().map(|name| (*name).to_owned()).collect::<HashSet<_>>(),
            used: Vec::new(),
        };
        let mut fields = Fields::of(root, "the script")?;
        let empty = Node { value: Yaml::Map(Vec::new()), at: root.at };
        let config = fields.take("config").unwrap_or(&empty);
        let (mut plan, default_engine) = self.config(&mut compiler, config, constants)?;
        for (name, slot) in [("before", &mut plan.before), ("after", &mut plan.after)] {
            if let Some(node) = fields.take(if name == "before" { "before" } else { "after" }) {
                *slot = Some(compiler.scenario(node, 0, default_engine)?);
            }
        }
        let scenarios = fields.take("scenarios").ok_or_else(|| {
            ScriptError::at(root.at, "`scenarios` is missing").help("write `scenarios:` with a list of flows")
        })?;
        for (index, node) in scenarios.list()?.iter().enumerate() {
            plan.scenarios.push(compiler.scenario(node, index, default_engine)?);
        }
        if plan.scenarios.is_empty() {
            return Err(ScriptError::at(scenarios.at, "`scenarios` is empty"));
        }
        fields.finish(&mut compiler.notes)?;
        self.choose_scenario(&mut plan)?;
        warn_of_unset(&mut compiler);
        Ok((plan, compiler.notes.warnings))
    }

    fn config(
        &mut self,
        compiler: &mut Compiler,
        node: &Node,
        constants: HashMap<String, Value>,
    ) -> Parsed<(Plan, Engine)> {
        let mut fields = Fields::of(node, "config")?;
        fields.refuse("processor", "functions in JavaScript are not run")?;
        fields.refuse("fake-data", "use `$randomString()`, `$randomNumber(1, 10)` or a data file")?;
        for name in ["environments", "includeFiles", "bundling", "statsInterval"] {
            fields.take(name);
        }
        let target = self.target(compiler, fields.take("target"), node)?;
        compiler.target.clone_from(&target);
        for name in ["defaults", "http"] {
            let defaults =
                fields.take(name).and_then(|node| if name == "http" { node.get("defaults") } else { Some(node) });
            if let Some(node) = defaults {
                compiler.default_values(node)?;
            }
        }
        if compiler.default_headers.iter().all(|(name, _)| name != "user-agent") {
            let agent = Template::Text("Artillery (https://artillery.io)".to_owned());
            compiler.default_headers.push(("user-agent".to_owned(), agent));
        }
        let timeout = fields.take("timeout");
        let http = compiler.http_settings(fields.take("http"), timeout)?;
        let ws = compiler.ws_settings(fields.take("ws"), timeout)?;
        let mut socketio =
            fields.take("socketio").map(|node| compiler.socket_settings(node)).transpose()?.unwrap_or_default();
        socketio.timeout = http.timeout;
        let verify_certificates = self.verifies(compiler, &mut fields)?;
        if let Some(engines) = fields.take("engines") {
            check_engines(compiler, engines)?;
        }
        let default_engine = fields.take("engine").map(engine).transpose()?.unwrap_or(Engine::Http);
        let mut plan = Plan {
            script: self.options.scripts.first().map(|path| path.display().to_string()).unwrap_or_default(),
            target,
            environment: self.options.environment.clone(),
            phases: Vec::new(),
            scenarios: Vec::new(),
            before: None,
            after: None,
            payloads: Vec::new(),
            variables: Vec::new(),
            constants,
            http,
            ws,
            socketio,
            verify_certificates,
            checks: Vec::new(),
            apdex: None,
            expect: None,
            endpoints: compiler.endpoints,
            chat: None,
            as_artillery: compiler.as_artillery,
        };
        if let Some(variables) = fields.take("variables") {
            plan.variables = compiler.values(variables)?;
            compiler.defined.extend(plan.variables.iter().map(|(name, _)| name.clone()));
        }
        self.payloads(compiler, &mut plan, fields.take("payload"))?;
        plugins(compiler, &mut plan, &mut fields)?;
        plan.chat = fields.take("chat").map(|node| compiler.chat(node)).transpose()?;
        let mode = fields.take("mode");
        let phases = fields.take("phases");
        plan.phases = match phases.filter(|_| !self.options.solo) {
            Some(phases) => compiler.phases(phases, mode)?,
            None => Vec::new(),
        };
        if plan.phases.is_empty() {
            let load = Load::Count { count: 1, duration: std::time::Duration::from_secs(1) };
            plan.phases.push(Phase { name: None, load, max_users: None });
        }
        if plan.payloads.iter().any(|payload| payload.order == Order::Once && matches!(payload.data, Rows::All { .. }))
        {
            compiler.warn(node.at, "`order: once` does nothing with `loadAll`");
        }
        fields.finish(&mut compiler.notes)?;
        Ok((plan, default_engine))
    }

    fn target(&mut self, compiler: &mut Compiler, target: Option<&Node>, config: &Node) -> Parsed<String> {
        let node = target.ok_or_else(|| {
            ScriptError::at(config.at, "`target` is missing")
                .help("write `target: \"http://127.0.0.1:3000\"` in config, or use -t")
        })?;
        let text = node.string()?;
        let url = url::Url::parse(&text).map_err(|error| {
            ScriptError::at(node.at, format!("`{text}` is no URL: {error}")).help("write `http://HOST:PORT`")
        })?;
        if !["http", "https", "ws", "wss"].contains(&url.scheme()) {
            let error = ScriptError::at(node.at, format!("unknown scheme `{}`", url.scheme()));
            return Err(error.nearest(url.scheme(), ["http", "https", "ws", "wss"]));
        }
        if !self.options.allow_remote && !url.host().as_ref().is_some_and(is_loopback) {
            let error = ScriptError::at(node.at, "the target is not on this machine");
            return Err(error.help("load is sent to other machines only with --allow-remote"));
        }
        compiler.used.retain(|(_, at)| *at != node.at);
        Ok(text)
    }

    fn verifies(&self, compiler: &mut Compiler, fields: &mut Fields<'_>) -> Parsed<bool> {
        let mut verify = !self.options.insecure;
        if let Some(node) = fields.take("tls") {
            let mut tls = Fields::of(node, "tls")?;
            for name in ["ca", "cert", "key", "pfx", "passphrase"] {
                tls.refuse(name, "certificates of the system are used; -k turns the check off")?;
            }
            if let Some(reject) = tls.take("rejectUnauthorized") {
                verify &= reject.boolean()?;
            }
            tls.finish(&mut compiler.notes)?;
        }
        for name in ["ws", "socketio"] {
            let own = fields.take(name).and_then(|node| node.get("rejectUnauthorized"));
            verify &= own.map(Node::boolean).transpose()?.unwrap_or(true);
        }
        Ok(verify)
    }

    fn payloads(&self, compiler: &mut Compiler, plan: &mut Plan, node: Option<&Node>) -> Parsed {
        let file = self.options.payload.as_deref();
        let Some(node) = node else {
            return match file {
                Some(_) => Err(ScriptError::new("--payload: the script has no `config.payload` that names its fields")),
                None => Ok(()),
            };
        };
        let nodes = node.one_or_many();
        if file.is_some() && nodes.len() != 1 {
            return Err(ScriptError::at(node.at, "--payload needs exactly one `config.payload`"));
        }
        plan.payloads = nodes.iter().map(|node| compiler.payload(node, file)).collect::<Parsed<_>>()?;
        Ok(())
    }

    fn choose_scenario(&self, plan: &mut Plan) -> Parsed {
        let Some(name) = &self.options.scenario_name else { return Ok(()) };
        let pattern = fancy_regex::Regex::new(name);
        let known: Vec<String> = plan.scenarios.iter().map(|scenario| scenario.name.clone()).collect();
        let chosen = known.iter().position(|known| known == name).or_else(|| {
            let pattern = pattern.as_ref().ok()?;
            known.iter().position(|known| pattern.is_match(known).unwrap_or(false))
        });
        let Some(chosen) = chosen else {
            let error = ScriptError::new(format!("--scenario-name: no scenario `{name}`"));
            return Err(error.nearest(name, known.iter().map(String::as_str)));
        };
        plan.scenarios = vec![plan.scenarios.swap_remove(chosen)];
        Ok(())
    }
}

fn plugins(compiler: &mut Compiler, plan: &mut Plan, fields: &mut Fields<'_>) -> Parsed {
    let ensure = fields.take("ensure");
    let mut ensured = false;
    let mut apdex = fields.take("apdex");
    if let Some(node) = fields.take("plugins") {
        let mut plugins = Fields::of(node, "plugins")?;
        for name in ["publish-metrics", "memory-inspector", "slack"] {
            plugins.refuse(name, "read the report file (-o) instead")?;
        }
        plugins.refuse("fake-data", "use `$randomString()`, `$randomNumber(1, 10)` or a data file")?;
        // A plugin that is named is on, also with nothing as its options.
        let has = |name: &str| node.get(name).is_some();
        if let Some(options) = plugins.take("ensure").filter(|node| matches!(node.value, Yaml::Map(_))) {
            compiler.checks(options, &mut plan.checks)?;
        }
        ensured = has("ensure");
        if let Some(options) = plugins.take("expect") {
            plan.expect = Some(compiler.expect_options(options)?);
        }
        compiler.expects = has("expect");
        if compiler.expects && plan.expect.is_none() {
            plan.expect = Some(super::plan::ExpectOptions::default());
        }
        if let Some(options) = plugins.take("metrics-by-endpoint") {
            compiler.endpoint_options(options)?;
        }
        let options = plugins.take("apdex");
        if has("apdex") {
            let node_of = apdex.take().or(options);
            plan.apdex = Some(node_of.map(|node| compiler.apdex(node)).transpose()?.unwrap_or(500.0));
        }
        plugins.finish(&mut compiler.notes)?;
    }
    plan.endpoints = compiler.endpoints;
    if let Some(node) = ensure {
        if ensured || !compiler.as_artillery {
            compiler.checks(node, &mut plan.checks)?;
        }
        if !ensured {
            compiler.warn(node.at, "Artillery checks this only with `plugins: { ensure: {} }`");
        }
    }
    if std::env::var_os("ARTILLERY_DISABLE_ENSURE").is_some() {
        plan.checks.clear();
    }
    Ok(())
}

fn check_engines(compiler: &mut Compiler, node: &Node) -> Parsed {
    for (key, options) in node.entries()? {
        super::flow::engine(&Node::text(&key.text, key.at))?;
        if options.entries().is_ok_and(|entries| !entries.is_empty()) {
            compiler.warn(options.at, "options in `engines` do nothing, in Artillery neither");
        }
    }
    Ok(())
}

fn warn_of_unset(compiler: &mut Compiler) {
    let used = std::mem::take(&mut compiler.used);
    let mut said = HashSet::new();
    for (name, at) in used {
        if !compiler.defined.contains(&name) && said.insert(name.clone()) {
            let warning = ScriptError::at(at, format!("nothing sets the variable `{name}`"));
            let warning = warning.nearest(&name, compiler.defined.iter().map(String::as_str));
            compiler.notes.warnings.push(warning);
        }
    }
}

fn set_config(root: &mut Node, name: &str, node: Node) {
    let mut config = root.get("config").cloned().unwrap_or(Node { value: Yaml::Map(Vec::new()), at: node.at });
    config.set(name, node);
    root.set("config", config);
}

struct LoadScope<'a>(&'a HashMap<String, Value>, rand::rngs::ThreadRng);

impl Scope for LoadScope<'_> {
    fn variable(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    fn random(&mut self) -> &mut dyn rand::RngCore {
        &mut self.1
    }
}

/// Renders what is known at load. With `all`, also what is not: once for all users, as Artillery does.
fn resolve(node: &mut Node, known: &HashMap<String, Value>, all: bool) {
    match &mut node.value {
        Yaml::Text(text) if text.contains("{{") => {
            let Ok(template) = Template::compile(text, node.at) else { return };
            let mut scope = LoadScope(known, rand::rng());
            let names: Vec<&str> = template.variables().collect();
            let is_known = !names.is_empty()
                && names.iter().all(|name| known.contains_key(*name))
                && !template.text(&mut scope).contains("undefined");
            if is_known || all {
                let rendered = template.value(&mut scope);
                node.value = rendered.map_or(Yaml::Null, from_json);
            }
        }
        Yaml::List(items) => items.iter_mut().for_each(|item| resolve(item, known, all)),
        Yaml::Map(entries) => {
            for (key, node) in entries {
                if key.text != "environments" {
                    resolve(node, known, all);
                }
            }
        }
        _ => {}
    }
}

fn from_json(value: Value) -> Yaml {
    let node = |value| Node { value: from_json(value), at: At::default() };
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Bool(value),
        Value::Number(number) => Yaml::Number(number),
        Value::String(text) => Yaml::Text(text),
        Value::Array(items) => Yaml::List(items.into_iter().map(node).collect()),
        Value::Object(map) => Yaml::Map(
            map.into_iter().map(|(text, value)| (super::node::Key { text, at: At::default() }, node(value))).collect(),
        ),
    }
}

/// Whether a host is this machine.
#[must_use]
pub fn is_loopback(host: &url::Host<&str>) -> bool {
    match host {
        url::Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
        url::Host::Ipv4(address) => address.is_loopback(),
        url::Host::Ipv6(address) => address.is_loopback(),
    }
}

/// Names and values of a `.env` file.
fn dotenv(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=').filter(|_| !line.starts_with('#'))?;
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        let value = quoted.unwrap_or_else(|| value.split(" #").next().unwrap_or(value).trim_end());
        Some((name.trim().to_owned(), value.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotenv_files_are_read() {
        let text = "# a\nA=1\nexport B = \"two words\"\nC='3' \nD=4 # four\nnothing\n";
        let read: Vec<_> = dotenv(text).collect();
        let expected = [("A", "1"), ("B", "two words"), ("C", "3"), ("D", "4")];
        assert_eq!(read, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }
}
