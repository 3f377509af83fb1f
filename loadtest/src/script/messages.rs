//! Reader of the steps and settings of the engines ws and socketio.

use super::{
    compiler::Compiler,
    fields::Fields,
    node::{Node, Yaml},
    plan::{Answer, Emit, Expected, Response, Send, SocketSettings, WsSettings},
    source::{Parsed, ScriptError},
    template::{JsonTemplate, Template},
};

impl Compiler {
    /// `send`: a text, a mapping that is sent as JSON, or `{payload, capture, match}`.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn send(&mut self, node: &Node) -> Parsed<Send> {
        let (capture, matching) = (node.get("capture"), node.get("match"));
        let (payload, answer) = if capture.is_some() || matching.is_some() {
            let mut fields = Fields::of(node, "send")?;
            let payload = fields.take("payload").or_else(|| fields.take("json"));
            fields.take("capture");
            fields.take("match");
            fields.finish(&mut self.notes)?;
            let payload = payload.ok_or_else(|| ScriptError::at(node.at, "`payload` is missing in send"))?;
            (payload, self.answer(capture, matching)?)
        } else {
            (node, Answer::default())
        };
        let payload = self.json(payload)?;
        let mut stamped = false;
        payload.each(&mut |template| stamped |= template.variables().any(|name| name == "$stamp"));
        Ok(Send { payload, answer, stamped })
    }

    /// `wait: {capture | match}`.
    ///
    /// # Errors
    /// When it has neither.
    pub fn wait(&mut self, node: &Node) -> Parsed<Answer> {
        let mut fields = Fields::of(node, "wait")?;
        let (capture, matching) = (fields.take("capture"), fields.take("match"));
        fields.finish(&mut self.notes)?;
        if capture.is_none() && matching.is_none() {
            return Err(ScriptError::at(node.at, "`wait` has `capture` or `match`")
                .help("to do nothing for a while, write `think`"));
        }
        self.answer(capture, matching)
    }

    /// The step `connect` of the engine ws.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn connect(&mut self, node: &Node) -> Parsed<WsSettings> {
        if !matches!(node.value, Yaml::Map(_)) {
            return Ok(WsSettings { url: Some(self.template(node)?), ..WsSettings::default() });
        }
        let mut fields = Fields::of(node, "connect")?;
        fields.refuse("function", "functions in JavaScript are not run")?;
        let mut settings = WsSettings { url: None, ..self.ws_fields(&mut fields)? };
        settings.url = fields.take("target").map(|node| self.template(node)).transpose()?;
        if let Some((key, _)) = node.entries()?.iter().find(|(key, _)| key.text == "url") {
            return Err(ScriptError::at(key.at, "unknown key `url` in connect").help("write `target` instead"));
        }
        fields.finish(&mut self.notes)?;
        Ok(settings)
    }

    /// What `config.ws` and `connect` have in common.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn ws_fields(&mut self, fields: &mut Fields<'_>) -> Parsed<WsSettings> {
        fields.refuse("proxy", "connections are made directly")?;
        let mut settings = WsSettings::default();
        for node in fields.take("subprotocols").into_iter().flat_map(Node::one_or_many) {
            settings.subprotocols.push(self.template(node)?);
        }
        settings.headers = fields.take("headers").map(|node| self.headers(node)).transpose()?.unwrap_or_default();
        // A header of this name adds to the list.
        let is_protocol = |name: &str| name == "sec-websocket-protocol";
        for (_, template) in settings.headers.iter().filter(|(name, _)| is_protocol(name)) {
            settings.subprotocols.push(template.clone());
        }
        settings.headers.retain(|(name, _)| !is_protocol(name));
        Ok(settings)
    }

    /// Options of Socket.IO connections.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn socket_settings(&mut self, node: &Node) -> Parsed<SocketSettings> {
        let mut fields = Fields::of(node, "socketio")?;
        let mut settings = SocketSettings {
            path: fields.take("path").map(|node| self.template(node)).transpose()?,
            headers: fields.take("extraHeaders").map(|node| self.headers(node)).transpose()?.unwrap_or_default(),
            auth: fields.take("auth").map(|node| self.json(node)).transpose()?,
            ..SocketSettings::default()
        };
        if let Some(query) = fields.take("query") {
            settings.query = match &query.value {
                Yaml::Text(text) => text
                    .split('&')
                    .map(|pair| {
                        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                        Ok((name.to_owned(), JsonTemplate::Text(self.text(value, query.at)?)))
                    })
                    .collect::<Parsed<_>>()?,
                _ => self.values(query)?,
            };
        }
        if let Some(transports) = fields.take("transports") {
            let names: Vec<String> = transports.one_or_many().iter().map(Node::string).collect::<Parsed<_>>()?;
            if !names.iter().any(|name| name == "websocket") {
                return Err(ScriptError::at(transports.at, "only the transport `websocket` is supported")
                    .help("write `transports: [websocket]`"));
            }
        }
        // About reconnecting and sharing of connections: a user has one connection, and does not reconnect.
        for name in ["reconnection", "forceNew", "multiplex", "upgrade", "rejectUnauthorized", "secure"] {
            fields.take(name);
        }
        fields.finish(&mut self.notes)?;
        Ok(settings)
    }

    /// `emit` with what stands beside it.
    ///
    /// # Errors
    /// When something in it is wrong.
    pub fn emit(&mut self, node: &Node) -> Parsed<Emit> {
        let mut fields = Fields::of(node, "emit")?;
        let emit = fields.take("emit").ok_or_else(|| node.expected("`emit`"))?;
        let namespace = fields.take("namespace").map(|node| self.template(node)).transpose()?;
        let (response, acknowledge) = (fields.take("response"), fields.take("acknowledge"));
        fields.finish(&mut self.notes)?;
        Ok(Emit {
            namespace: namespace.unwrap_or(Template::Text(String::new())),
            arguments: self.arguments(emit)?,
            response: response.map(|node| self.response(node)).transpose()?,
            acknowledge: acknowledge.map(|node| self.acknowledge(node)).transpose()?,
        })
    }

    fn arguments(&mut self, node: &Node) -> Parsed<Vec<JsonTemplate>> {
        if let Yaml::List(items) = &node.value {
            if items.is_empty() {
                return Err(ScriptError::at(node.at, "`emit` needs the name of an event"));
            }
            return items.iter().map(|item| self.json(item)).collect();
        }
        let mut fields = Fields::of(node, "emit")?;
        for name in ["namespace", "response", "acknowledge"] {
            fields.refuse(name, "it stands beside `emit`, not in it")?;
        }
        let channel = fields.take("channel").ok_or_else(|| {
            ScriptError::at(node.at, "`channel` is missing in emit")
                .help("write `{channel: EVENT, data: …}` or `[EVENT, …]`")
        })?;
        let data = fields.take("data");
        fields.finish(&mut self.notes)?;
        let mut arguments = vec![self.json(channel)?];
        arguments.extend(data.map(|node| self.json(node)).transpose()?);
        Ok(arguments)
    }

    fn response(&mut self, node: &Node) -> Parsed<Response> {
        let mut fields = Fields::of(node, "response")?;
        let event = fields
            .take("channel")
            .or_else(|| fields.take("on"))
            .ok_or_else(|| ScriptError::at(node.at, "`channel` is missing in response"))?;
        // Both names are known, whichever is there.
        fields.take("on");
        let event = self.template(event)?;
        Ok(Response { event, expected: self.expected(fields)? })
    }

    fn acknowledge(&mut self, node: &Node) -> Parsed<Expected> {
        if let Yaml::Bool(_) = node.value {
            let error = ScriptError::at(node.at, "`acknowledge` is a mapping");
            return Err(error.help("write `acknowledge: {match: {json: \"$.0\", value: …}}`, or `{}` for any answer"));
        }
        let fields = Fields::of(node, "acknowledge")?;
        self.expected(fields)
    }

    fn expected(&mut self, mut fields: Fields<'_>) -> Parsed<Expected> {
        let (capture, matching) = (fields.take("capture"), fields.take("match"));
        let data = fields.take("data").map(|node| self.json(node)).transpose()?;
        let arguments = match fields.take("args") {
            Some(node) => Some(node.one_or_many().iter().map(|node| self.json(node)).collect::<Parsed<_>>()?),
            None => None,
        };
        let concat = fields.take("concat").map(Node::boolean).transpose()?.unwrap_or(false);
        fields.finish(&mut self.notes)?;
        let (capture, matching) = (with_path(capture), with_path(matching));
        Ok(Expected { data, arguments, concat, answer: self.answer(capture.as_ref(), matching.as_ref())? })
    }
}

/// Captures and matches of Socket.IO read the first argument where they say nothing.
fn with_path(node: Option<&Node>) -> Option<Node> {
    let mut node = node?.clone();
    let items = match &mut node.value {
        Yaml::List(items) => items.as_mut_slice(),
        _ => std::slice::from_mut(&mut node),
    };
    for item in items {
        if ["json", "regexp", "header"].iter().all(|name| item.get(name).is_none()) {
            item.set("json", Node::text("$.0", item.at));
        }
    }
    Some(node)
}
