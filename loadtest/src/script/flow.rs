//! Reader of scenarios and their steps.

use super::{
    compiler::Compiler,
    expression::Formula,
    fields::Fields,
    node::{Key, Node, Yaml},
    plan::{Engine, Jitter, Repetition, Scenario, Step, Turns},
    source::{Parsed, ScriptError},
    template::{JsonTemplate, Template},
};

/// Methods that are steps of the http engine.
const METHODS: [&str; 7] = ["get", "post", "put", "patch", "delete", "head", "options"];
/// Most steps of `parallel` at a time where the script says nothing.
const PARALLEL: usize = 100;

impl Compiler {
    /// One scenario, or `before` and `after`.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn scenario(&mut self, node: &Node, index: usize, default_engine: Engine) -> Parsed<Scenario> {
        let mut fields = Fields::of(node, "scenario")?;
        for name in ["beforeScenario", "afterScenario", "beforeRequest", "afterResponse", "onError"] {
            fields.refuse(name, "functions in JavaScript are not run")?;
        }
        let engine = fields.take("engine").map(engine).transpose()?.unwrap_or(default_engine);
        let name = fields.take("name").map(Node::string).transpose()?.unwrap_or_else(|| index.to_string());
        let weight = match fields.take("weight") {
            Some(weight) => self.weight(weight)?,
            None => Template::Text("1".to_owned()),
        };
        let socketio = fields.take("socketio").map(|node| self.socket_settings(node)).transpose()?;
        let flow = fields.take("flow").ok_or_else(|| {
            ScriptError::at(node.at, "`flow` is missing").help("a scenario has `flow:`, a list of steps")
        })?;
        let items = flow.list()?;
        let connect = match items.first().and_then(|item| item.get("connect")).filter(|_| engine == Engine::Ws) {
            Some(connect) => Some(self.connect(connect)?),
            None => None,
        };
        let flow = self.steps(if connect.is_some() { &items[1..] } else { items }, engine)?;
        fields.finish(&mut self.notes)?;
        let waits = contains_wait(&flow);
        Ok(Scenario { name, engine, weight, flow, connect, socketio, waits })
    }

    fn weight(&mut self, node: &Node) -> Parsed<Template> {
        let template = self.template(node)?;
        if template.fixed().is_some() {
            node.whole()?;
        }
        Ok(template)
    }

    /// A list of steps; lists in it are flattened once.
    fn steps(&mut self, items: &[Node], engine: Engine) -> Parsed<Vec<Step>> {
        let mut steps = Vec::new();
        for item in items {
            let inner = if let Yaml::List(items) = &item.value { items.as_slice() } else { std::slice::from_ref(item) };
            for item in inner {
                steps.push(self.step(item, engine)?);
            }
        }
        Ok(steps)
    }

    fn step(&mut self, node: &Node, engine: Engine) -> Parsed<Step> {
        if let Yaml::Text(text) = &node.value {
            return Err(
                ScriptError::at(node.at, format!("`{text}` is no step")).help("a step is a mapping like `think: 1`")
            );
        }
        let entries = node.entries()?;
        if node.get("loop").is_some() {
            return self.repetition(node, engine);
        }
        if node.get("parallel").is_some() && engine != Engine::Ws {
            return self.parallel(node, engine);
        }
        if engine == Engine::SocketIo && node.get("emit").is_some() {
            return self.emit(node).map(|emit| Step::Emit(Box::new(emit)));
        }
        match entries {
            [] => Err(ScriptError::at(node.at, "an empty step")),
            [(key, value)] => self.one_key(key, value, engine),
            [(first, duration), (key, value)] if first.text == "think" && key.text == "jitter" => {
                self.think(duration, Some(value))
            }
            [(first, _), (key, _), ..] => Err(ScriptError::at(
                key.at,
                format!("a step has one key: `{}` stands beside `{}`", key.text, first.text),
            )
            .help(format!("indent it below `{}`, or begin a step of its own with `- {}:`", first.text, key.text))),
        }
    }

    fn one_key(&mut self, key: &Key, value: &Node, engine: Engine) -> Parsed<Step> {
        match (key.text.as_str(), engine) {
            ("think", _) => self.think(value, None),
            ("log", _) => Ok(Step::Log(self.template(value)?)),
            ("function", _) => {
                Err(ScriptError::at(key.at, "`function` is not supported").help("functions in JavaScript are not run"))
            }
            (method, Engine::Http | Engine::SocketIo) if METHODS.contains(&method.to_lowercase().as_str()) => {
                self.request(&method.to_uppercase(), value).map(|request| Step::Request(Box::new(request)))
            }
            ("send", Engine::Ws) => self.send(value).map(|send| Step::Send(Box::new(send))),
            ("wait", Engine::Ws) => self.wait(value).map(Step::Wait),
            ("connect", Engine::Ws) => Err(ScriptError::at(key.at, "`connect` must be the first step").help(
                "a user has one connection, which is made before its first step; elsewhere Artillery ignores this",
            )),
            (name, engine) => {
                let mut known = vec!["think", "log", "loop"];
                match engine {
                    Engine::Http => known.extend(METHODS.iter().chain(&["parallel"])),
                    Engine::Ws => known.extend(["send", "wait", "connect"]),
                    Engine::SocketIo => known.extend(METHODS.iter().chain(&["emit", "parallel"])),
                }
                let elsewhere = match name {
                    "send" | "wait" | "connect" => Some("ws"),
                    "emit" => Some("socketio"),
                    _ if METHODS.contains(&name) => Some("http"),
                    _ => None,
                };
                let error = ScriptError::at(key.at, format!("unknown step `{name}` of the engine {}", engine.name()));
                Err(match elsewhere {
                    Some(engine) => error.help(format!("it belongs to `engine: {engine}`")),
                    None => error.nearest(name, known),
                })
            }
        }
    }

    fn think(&mut self, node: &Node, jitter: Option<&Node>) -> Parsed<Step> {
        let jitter = jitter.map(parse_jitter).transpose()?.or(self.think_jitter);
        Ok(Step::Think { duration: self.late_duration(node)?, jitter })
    }

    fn parallel(&mut self, node: &Node, engine: Engine) -> Parsed<Step> {
        let mut fields = Fields::of(node, "parallel")?;
        let steps = fields.take("parallel").ok_or_else(|| node.expected("a list of steps"))?;
        let limit = fields.take("limit").map(Node::whole).transpose()?;
        fields.finish(&mut self.notes)?;
        let limit = limit.and_then(|limit| usize::try_from(limit).ok()).filter(|limit| *limit > 0).unwrap_or(PARALLEL);
        // Requests only: a user has one socket, and its messages have an order.
        let engine = if engine == Engine::SocketIo { Engine::Http } else { engine };
        Ok(Step::Parallel { steps: self.steps(steps.list()?, engine)?, limit })
    }

    fn repetition(&mut self, node: &Node, engine: Engine) -> Parsed<Step> {
        let mut fields = Fields::of(node, "loop")?;
        fields.refuse("whileTrue", "functions in JavaScript are not run; use `count` or `over`")?;
        let steps = fields.take("loop").ok_or_else(|| node.expected("a list of steps"))?;
        let counter =
            fields.take("loopValue").map(Node::string).transpose()?.unwrap_or_else(|| "$loopCount".to_owned());
        let element =
            fields.take("loopElement").map(Node::string).transpose()?.unwrap_or_else(|| "$loopElement".to_owned());
        self.defined.insert(counter.clone());
        self.defined.insert(element.clone());
        let turns = match (fields.take("count"), fields.take("over")) {
            (Some(_), Some(over)) => return Err(ScriptError::at(over.at, "a loop has `count` or `over`, not both")),
            (Some(count), None) => self.count(count)?,
            (None, Some(over)) => self.over(over)?,
            (None, None) => {
                self.warn(node.at, "a loop without `count` and `over` goes on until the run is stopped");
                Turns::Forever
            }
        };
        fields.finish(&mut self.notes)?;
        let steps = self.steps(steps.list()?, engine)?;
        Ok(Step::Loop(Box::new(Repetition { steps, turns, counter, element })))
    }

    fn count(&mut self, node: &Node) -> Parsed<Turns> {
        let template = self.template(node)?;
        if let Some(text) = template.fixed() {
            match turns(text) {
                None => {
                    let error = ScriptError::at(node.at, format!("`{text}` is no number of turns"));
                    return Err(error.help("write a whole number, or `a-b` to count from a to b − 1"));
                }
                Some((_, Some(_))) => {}
                Some((_, None)) => return Ok(Turns::Forever),
            }
            if text.trim() == "0" {
                if self.as_artillery {
                    return Ok(Turns::Forever);
                }
                self.warn(node.at, "`count: 0` is no turn here, and no end in Artillery");
            }
        }
        Ok(Turns::Count(template))
    }

    fn over(&mut self, node: &Node) -> Parsed<Turns> {
        match &node.value {
            Yaml::List(items) => Ok(Turns::Over(items.iter().map(|item| self.json(item)).collect::<Parsed<_>>()?)),
            Yaml::Text(text) if !text.contains("{{") => {
                self.used.push((text.split(['.', '[']).next().unwrap_or_default().to_owned(), node.at));
                Ok(Turns::OverVariable(self.text(&format!("{{{{ {text} }}}}"), node.at)?))
            }
            Yaml::Text(_) => Ok(Turns::OverVariable(self.template(node)?)),
            _ => Err(node.expected("a list or the name of a variable")),
        }
    }

    /// `ifTrue` of a request.
    ///
    /// # Errors
    /// When it is no expression.
    pub fn condition(&mut self, node: &Node) -> Parsed<Formula> {
        let formula = match &node.value {
            Yaml::Bool(value) => Formula::Number(f64::from(u8::from(*value))),
            _ => self.formula(node)?,
        };
        let mut names = Vec::new();
        formula.names(&mut names);
        self.used.extend(names.into_iter().filter_map(|name| {
            let root = name.split('.').next()?.to_owned();
            Some((root, node.at))
        }));
        Ok(formula)
    }
}

/// First number and, unless there is no end, the number after the last of a loop's `count`.
#[must_use]
pub fn turns(text: &str) -> Option<(i64, Option<i64>)> {
    let text = text.trim();
    if let Ok(count) = text.parse::<i64>() {
        return Some(if count < 0 { (0, None) } else { (0, Some(count)) });
    }
    let (from, to) = text.split_once('-')?;
    let (from, to): (i64, i64) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (to >= from).then_some((from, Some(to)))
}

fn contains_wait(steps: &[Step]) -> bool {
    steps.iter().any(|step| match step {
        Step::Wait(_) => true,
        Step::Loop(repetition) => contains_wait(&repetition.steps),
        Step::Parallel { steps, .. } => contains_wait(steps),
        _ => false,
    })
}

/// Name of an engine.
///
/// # Errors
/// When it is none of this program's.
pub fn engine(node: &Node) -> Parsed<Engine> {
    let name = node.string()?;
    match name.as_str() {
        "http" => Ok(Engine::Http),
        "ws" => Ok(Engine::Ws),
        "socketio" => Ok(Engine::SocketIo),
        "playwright" => {
            Err(ScriptError::at(node.at, "the engine `playwright` is not supported").help("browsers are not driven"))
        }
        _ => {
            Err(ScriptError::at(node.at, format!("unknown engine `{name}`")).nearest(&name, ["http", "ws", "socketio"]))
        }
    }
}

/// `jitter` of a `think`.
///
/// # Errors
/// When it is neither `20%` nor a number of milliseconds.
pub fn parse_jitter(node: &Node) -> Parsed<Jitter> {
    let text = node.string()?;
    let text = text.trim();
    let (number, percent) = match text.strip_suffix('%') {
        Some(number) => (number, true),
        None => (text.strip_suffix("ms").unwrap_or(text), false),
    };
    match number.trim().parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => {
            Ok(if percent { Jitter::Percent(number) } else { Jitter::Millis(number) })
        }
        _ => {
            Err(ScriptError::at(node.at, format!("`{text}` is no jitter"))
                .help("write `20%`, or milliseconds like `100`"))
        }
    }
}

/// A value that is a text and has nothing to render.
#[must_use]
pub fn fixed_text(template: &JsonTemplate) -> Option<&str> {
    match template {
        JsonTemplate::Text(template) => template.fixed(),
        _ => None,
    }
}
