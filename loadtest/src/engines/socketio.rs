//! Socket.IO of a user, over one WebSocket: Engine.IO 4, Socket.IO protocol 5, any number of namespaces.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::time::{Instant as Deadline, sleep_until, timeout_at};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::{
    answer::{Received, equal},
    chat::{Chat, record_connect},
    connect::Stream,
    error::UserError,
    http::millis,
    user::User,
    ws,
};
use crate::script::{
    plan::{Emit, Expected, Scenario, SocketSettings},
    template::{JsonTemplate, text_of},
};

/// An open connection with its namespaces.
pub struct SocketIo {
    stream: WebSocketStream<Stream>,
    timeout: Duration,
    auth: Option<Value>,
    namespaces: HashSet<String>,
    acknowledgements: u64,
    chat: Option<Chat>,
    closed: bool,
}

/// A packet of the Socket.IO protocol.
#[derive(Debug, PartialEq)]
struct Packet {
    kind: Kind,
    namespace: String,
    id: Option<u64>,
    data: Value,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Connect,
    Disconnect,
    Event,
    Ack,
    ConnectError,
}

impl SocketIo {
    /// Connects the user and its default namespace.
    ///
    /// # Errors
    /// When the server refuses, or no connection can be made in time.
    pub async fn connect(user: &mut User, scenario: &Scenario) -> Result<Self, UserError> {
        let plan = user.shared.plan.clone();
        let settings = scenario.socketio.as_ref().unwrap_or(&plan.socketio);
        let url = url(user, &plan.target, settings)?;
        let headers: Vec<(String, String)> =
            settings.headers.iter().map(|(name, template)| (name.clone(), template.text(user))).collect();
        let auth = settings.auth.as_ref().and_then(|auth| auth.value(user));
        let limit = plan.socketio.timeout;
        let began = Instant::now();
        let stream = ws::open(user, &url, &headers, &[], limit).await?;
        let mut socket = Self {
            stream,
            timeout: limit,
            auth,
            namespaces: HashSet::new(),
            acknowledgements: 0,
            chat: None,
            closed: false,
        };
        socket.enter(user, "").await?;
        record_connect(user, began);
        socket.chat = Chat::enter(user);
        Ok(socket)
    }

    /// Connects a namespace, if it is not yet.
    async fn enter(&mut self, user: &mut User, namespace: &str) -> Result<(), UserError> {
        let namespace = if namespace == "/" { "" } else { namespace };
        if self.namespaces.contains(namespace) {
            return Ok(());
        }
        let auth = self.auth.as_ref().map(Value::to_string).unwrap_or_default();
        let deadline = Deadline::now() + self.timeout;
        if self.namespaces.is_empty() {
            // The server speaks first: `0{…}`.
            let open = timeout_at(deadline, self.stream.next()).await.map_err(|_| UserError::TIMED_OUT)?;
            if !matches!(open, Some(Ok(Message::Text(text))) if text.as_str().starts_with('0')) {
                return Err(UserError::known("server error"));
            }
        }
        self.write(&format!("40{}{auth}", prefix(namespace)), deadline).await?;
        loop {
            let packet = self.next(user, deadline).await?;
            if packet.namespace == namespace {
                match packet.kind {
                    Kind::Connect => break,
                    Kind::ConnectError => {
                        let message = packet.data.get("message").map(text_of);
                        return Err(UserError::new(message.unwrap_or_else(|| "connect_error".to_owned())));
                    }
                    _ => {}
                }
            }
        }
        self.namespaces.insert(namespace.to_owned());
        Ok(())
    }

    /// Emits an event and waits for what the step asks for.
    ///
    /// # Errors
    /// When the socket is closed, or an answer does not come or is not right.
    pub async fn emit(&mut self, user: &mut User, emit: &Emit, due: Instant) -> Result<(), UserError> {
        let namespace = emit.namespace.text(user);
        let namespace = if namespace == "/" { "" } else { namespace.as_str() };
        self.enter(user, namespace).await?;
        if let Some(chat) = self.chat.as_mut().filter(|_| uses_stamp(emit)) {
            chat.stamp(user, due);
        }
        let id = emit.acknowledge.is_some().then(|| {
            self.acknowledgements += 1;
            self.acknowledgements
        });
        let mut text = format!("42{}{}", prefix(namespace), id.map(|id| id.to_string()).unwrap_or_default());
        write_list(user, &emit.arguments, &mut text);
        user.record(|window| {
            window.count("socketio.emit", 1);
            window.tick("socketio.emit_rate");
        });
        let began = Instant::now();
        let deadline = Deadline::now() + self.timeout;
        self.write(&text, deadline).await?;
        if emit.response.is_some() || id.is_some() {
            self.answers(user, emit, namespace, id, deadline).await?;
        }
        user.record(|window| window.record("socketio.response_time", millis(began.elapsed())));
        Ok(())
    }

    /// Waits for the event and the callback that a step asks for, in any order.
    async fn answers(
        &mut self,
        user: &mut User,
        emit: &Emit,
        namespace: &str,
        id: Option<u64>,
        deadline: Deadline,
    ) -> Result<(), UserError> {
        let wanted = emit.response.as_ref().map(|response| (response.event.text(user), &response.expected));
        let (mut response, mut acknowledge) = (wanted, emit.acknowledge.as_ref());
        let mut came = Vec::new();
        while response.is_some() || acknowledge.is_some() {
            let packet = match self.next(user, deadline).await {
                // Events came, but never the one that was waited for.
                Err(error) if error == UserError::NO_RESPONSE && !came.is_empty() => {
                    return Err(UserError::known("data is not valid"));
                }
                other => other?,
            };
            let Value::Array(mut arguments) = packet.data else { continue };
            if packet.namespace != namespace {
                continue;
            }
            if packet.kind == Kind::Ack && packet.id == id {
                if let Some(expected) = acknowledge.take() {
                    if !valid(user, expected, &arguments, &arguments) {
                        return Err(UserError::known("data is not valid"));
                    }
                    satisfy(user, expected, arguments)?;
                }
            } else if packet.kind == Kind::Event
                && let Some((event, expected)) = &response
                && arguments.first().map(text_of).as_ref() == Some(event)
            {
                arguments.remove(0);
                came.extend(arguments.iter().cloned());
                if valid(user, expected, &arguments, &came) {
                    satisfy(user, expected, came.clone())?;
                    response = None;
                }
            }
        }
        Ok(())
    }

    /// Reads until `until`.
    pub async fn idle(&mut self, user: &mut User, until: Deadline) {
        while !self.closed {
            match self.next(user, until).await {
                Ok(_) => {}
                Err(error) if error == UserError::NO_RESPONSE => return,
                Err(_) => self.closed = true,
            }
        }
        sleep_until(until).await;
    }

    /// Leaves all namespaces and closes the connection.
    pub async fn close(mut self, user: &mut User) {
        if let Some(chat) = self.chat.take() {
            chat.leave(user);
        }
        if self.closed {
            return;
        }
        let deadline = Deadline::now() + Duration::from_secs(1);
        for namespace in std::mem::take(&mut self.namespaces) {
            // A server that has gone is not told.
            self.write(&format!("41{}", prefix(&namespace)), deadline).await.unwrap_or_default();
        }
        let closing = async {
            self.stream.close(None).await.unwrap_or_default();
            while let Some(Ok(_)) = self.stream.next().await {}
        };
        timeout_at(deadline, closing).await.unwrap_or_default();
    }

    async fn write(&mut self, text: &str, deadline: Deadline) -> Result<(), UserError> {
        if self.closed {
            return Err(UserError::NOT_OPEN);
        }
        let sent = timeout_at(deadline, self.stream.send(Message::text(text))).await;
        sent.map_err(|_| UserError::TIMED_OUT)?.map_err(|_| {
            self.closed = true;
            UserError::NOT_OPEN
        })
    }

    /// The next packet that is not about the connection itself.
    async fn next(&mut self, user: &mut User, deadline: Deadline) -> Result<Packet, UserError> {
        loop {
            let message = timeout_at(deadline, self.stream.next()).await.map_err(|_| UserError::NO_RESPONSE)?;
            match message {
                Some(Ok(Message::Text(text))) => {
                    let text = text.as_str();
                    match text.as_bytes().first() {
                        Some(b'2') => self.write("3", deadline).await?,
                        Some(b'1') => {
                            self.closed = true;
                            return Err(UserError::NOT_OPEN);
                        }
                        Some(b'4') => {
                            if let Some(chat) = &mut self.chat {
                                chat.receive(user, text);
                            }
                            if let Some(packet) = parse(&text[1..]) {
                                return Ok(packet);
                            }
                        }
                        _ => {}
                    }
                }
                // Attachments of binary events.
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    self.closed = true;
                    return Err(UserError::NOT_OPEN);
                }
            }
        }
    }
}

fn uses_stamp(emit: &Emit) -> bool {
    let mut uses = false;
    for argument in &emit.arguments {
        argument.each(&mut |template| uses |= template.variables().any(|name| name == "$stamp"));
    }
    uses
}

fn prefix(namespace: &str) -> String {
    if namespace.is_empty() { String::new() } else { format!("{namespace},") }
}

fn write_list(user: &mut User, items: &[JsonTemplate], out: &mut String) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if !item.write(user, out) {
            out.push_str("null");
        }
    }
    out.push(']');
}

/// Whether arguments are what a step expects: those of the last event, or of all events together.
fn valid(user: &mut User, expected: &Expected, last: &[Value], all: &[Value]) -> bool {
    let list = |items: &[JsonTemplate], user: &mut User| -> Vec<Value> {
        items.iter().map(|item| item.value(user).unwrap_or(Value::Null)).collect()
    };
    let data = match &expected.data {
        Some(JsonTemplate::List(items)) => Some(Value::Array(list(items, user))),
        Some(data) => data.value(user),
        None => expected.arguments.as_ref().map(|items| Value::Array(list(items, user))),
    };
    match data {
        None => true,
        Some(Value::Array(wanted)) => same(&wanted, last) || same(&wanted, all),
        Some(Value::String(wanted)) if expected.concat => all.iter().map(text_of).collect::<String>().contains(&wanted),
        Some(Value::String(wanted)) => last.last().is_some_and(|found| text_of(found).contains(&wanted)),
        Some(wanted) => equal(last.last(), Some(&wanted)),
    }
}

fn same(wanted: &[Value], found: &[Value]) -> bool {
    wanted.len() == found.len() && wanted.iter().zip(found).all(|(wanted, found)| equal(Some(wanted), Some(found)))
}

fn satisfy(user: &mut User, expected: &Expected, arguments: Vec<Value>) -> Result<(), UserError> {
    let mut received = Received::arguments(Value::Array(arguments));
    if received.satisfies(&expected.answer, user) { Ok(()) } else { Err(UserError::known("Failed match")) }
}

fn url(user: &mut User, target: &str, settings: &SocketSettings) -> Result<String, UserError> {
    let mut url = url::Url::parse(target).map_err(|_| UserError::new(format!("Invalid URL: {target}")))?;
    let path = settings.path.as_ref().map_or_else(|| "/socket.io/".to_owned(), |path| path.text(user));
    url.set_path(&path);
    {
        let mut query = url.query_pairs_mut();
        for (name, template) in &settings.query {
            if let Some(value) = template.value(user) {
                query.append_pair(name, &text_of(&value));
            }
        }
        query.append_pair("EIO", "4").append_pair("transport", "websocket");
    }
    Ok(url.into())
}

/// Reads a packet without the `4` of Engine.IO. `None` for what is none.
fn parse(text: &str) -> Option<Packet> {
    let kind = match text.as_bytes().first()? {
        b'0' => Kind::Connect,
        b'1' => Kind::Disconnect,
        b'2' | b'5' => Kind::Event,
        b'3' | b'6' => Kind::Ack,
        b'4' => Kind::ConnectError,
        _ => return None,
    };
    let mut rest = &text[1..];
    if matches!(text.as_bytes()[0], b'5' | b'6') {
        // The number of attachments, which follow as binary messages.
        rest = rest.split_once('-')?.1;
    }
    let mut namespace = "";
    if rest.starts_with('/') {
        (namespace, rest) = rest.split_once(',').unwrap_or((rest, ""));
    }
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let id = rest[..digits].parse().ok();
    let data = if rest.len() == digits { Value::Null } else { serde_json::from_str(&rest[digits..]).ok()? };
    let namespace = namespace.split('?').next().unwrap_or_default().to_owned();
    Some(Packet { kind, namespace, id, data })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn packets_are_those_of_the_protocol() {
        let packet = |kind, namespace: &str, id, data| Some(Packet { kind, namespace: namespace.to_owned(), id, data });
        for (text, read) in [
            ("0{\"sid\":\"x\"}", packet(Kind::Connect, "", None, json!({ "sid": "x" }))),
            ("0/chat,{\"sid\":\"x\"}", packet(Kind::Connect, "/chat", None, json!({ "sid": "x" }))),
            ("2[\"a\",1]", packet(Kind::Event, "", None, json!(["a", 1]))),
            ("2/chat,12[\"a\"]", packet(Kind::Event, "/chat", Some(12), json!(["a"]))),
            ("37[{\"ok\":true}]", packet(Kind::Ack, "", Some(7), json!([{ "ok": true }]))),
            ("1/chat,", packet(Kind::Disconnect, "/chat", None, json!(null))),
            ("4{\"message\":\"no\"}", packet(Kind::ConnectError, "", None, json!({ "message": "no" }))),
            (
                "51-[\"b\",{\"_placeholder\":true,\"num\":0}]",
                packet(Kind::Event, "", None, json!(["b", { "_placeholder": true, "num": 0 }])),
            ),
            ("9", None),
            ("", None),
            ("2[", None),
        ] {
            assert_eq!(parse(text), read, "{text}");
        }
    }
}
