//! WebSocket of a user. Everything that comes is read and counted, whatever the user does meanwhile.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use tokio::time::{Instant as Deadline, sleep_until, timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        http::{HeaderName, HeaderValue, Request},
        protocol::WebSocketConfig,
    },
};
use url::Url;

use super::{
    answer::Received,
    chat::{Chat, record_connect},
    connect::{Origin, Stream},
    error::UserError,
    user::User,
};
use crate::script::{
    flow::fixed_text,
    plan::{Answer, Scenario, Send, WsSettings},
    template::{JsonTemplate, Template, text_of},
};

/// Messages that are kept for a later `wait`; of more, the oldest are forgotten.
const KEPT_MESSAGES: usize = 64;
/// How long the server's part of closing is waited for.
const CLOSING: Duration = Duration::from_secs(1);
/// Largest message, in bytes.
const MESSAGE_BYTES: usize = 16 << 20;
/// Read buffer of one socket: most messages of a chat are smaller, and ten thousand sockets fit into one process.
const READ_BUFFER: usize = 4 << 10;

/// An open WebSocket.
pub struct WebSocket {
    stream: WebSocketStream<Stream>,
    timeout: Duration,
    /// Messages that came outside of a step that waits.
    kept: VecDeque<String>,
    keeps: bool,
    chat: Option<Chat>,
    closed: Option<u16>,
    /// A step waits for a message; Artillery counts no others.
    waiting: bool,
}

impl WebSocket {
    /// Connects the user, as its scenario says.
    ///
    /// # Errors
    /// When the server refuses, or no connection can be made in time.
    pub async fn connect(user: &mut User, scenario: &Scenario) -> Result<Self, UserError> {
        let plan = user.shared.plan.clone();
        let settings = &plan.ws;
        let own = scenario.connect.as_ref();
        let url = own.and_then(|own| own.url.as_ref()).map_or_else(|| plan.target.clone(), |url| url.text(user));
        let headers = choose(own, settings, |settings| &settings.headers);
        let subprotocols: Vec<String> = choose(own, settings, |settings| &settings.subprotocols)
            .iter()
            .flat_map(|template| split(&template.text(user)))
            .collect();
        let headers: Vec<(String, String)> =
            headers.iter().map(|(name, template)| (name.clone(), template.text(user))).collect();
        let began = Instant::now();
        let stream = open(user, &url, &headers, &subprotocols, settings.timeout).await?;
        record_connect(user, began);
        let chat = Chat::enter(user);
        let keeps = scenario.waits;
        Ok(Self { stream, timeout: settings.timeout, kept: VecDeque::new(), keeps, chat, closed: None, waiting: false })
    }

    /// Sends a message and, if the step asks for it, waits for the next one.
    ///
    /// # Errors
    /// When the socket is closed, or the answer does not come or is not right.
    pub async fn send(&mut self, user: &mut User, send: &Send, due: Instant) -> Result<(), UserError> {
        if send.stamped {
            match &mut self.chat {
                Some(chat) => chat.stamp(user, due),
                None => user.set("$stamp", "".into()),
            }
        }
        let payload = payload(user, &send.payload);
        self.read_what_came(user);
        if self.closed.is_some() {
            return Err(UserError::NOT_OPEN);
        }
        user.record(|window| {
            window.count("websocket.messages_sent", 1);
            window.tick("websocket.send_rate");
        });
        // The answer to this message comes after it.
        self.kept.clear();
        let sent = timeout(self.timeout, self.stream.send(Message::text(payload))).await;
        sent.map_err(|_| UserError::TIMED_OUT)?.map_err(|error| failed(&error))?;
        if send.answer.is_empty() { Ok(()) } else { self.expect(user, &send.answer).await }
    }

    /// Waits for the next message.
    ///
    /// # Errors
    /// When it does not come or is not right.
    pub async fn wait(&mut self, user: &mut User, answer: &Answer) -> Result<(), UserError> {
        if user.shared.plan.as_artillery {
            self.kept.clear();
        }
        self.expect(user, answer).await
    }

    /// Reads until `until`.
    pub async fn idle(&mut self, user: &mut User, until: Deadline) {
        while self.closed.is_none() {
            tokio::select! {
                message = self.stream.next() => {
                    if let Some(text) = self.take(user, message) {
                        self.keep(text);
                    }
                }
                () = sleep_until(until) => return,
            }
        }
        sleep_until(until).await;
    }

    /// Closes the socket in the way of the protocol, and the account of the user's room.
    pub async fn close(mut self, user: &mut User) {
        if let Some(chat) = self.chat.take() {
            self.read_what_came(user);
            chat.leave(user);
        }
        if self.closed.is_some() {
            return;
        }
        let closing = async {
            self.stream.close(None).await?;
            while let Some(message) = self.stream.next().await {
                self.take(user, Some(message));
            }
            Ok::<_, Error>(())
        };
        // A server that does not answer keeps nobody waiting.
        timeout(CLOSING, closing).await.map(|_| ()).unwrap_or_default();
    }

    async fn expect(&mut self, user: &mut User, answer: &Answer) -> Result<(), UserError> {
        self.waiting = true;
        let next = timeout(self.timeout, self.next(user)).await;
        self.waiting = false;
        let text = next.map_err(|_| UserError::NO_RESPONSE)??;
        let mut received = Received::message(&text);
        if received.satisfies(answer, user) { Ok(()) } else { Err(UserError::CAPTURE_OR_MATCH) }
    }

    async fn next(&mut self, user: &mut User) -> Result<String, UserError> {
        if let Some(text) = self.kept.pop_front() {
            return Ok(text);
        }
        while self.closed.is_none() {
            let message = self.stream.next().await;
            if let Some(text) = self.take(user, message) {
                return Ok(text);
            }
        }
        Err(UserError::new(format!("WebSocket closed: {}", self.closed.unwrap_or(1006))))
    }

    /// Reads what has come already, without waiting.
    fn read_what_came(&mut self, user: &mut User) {
        use futures_util::FutureExt;
        while self.closed.is_none()
            && let Some(message) = self.stream.next().now_or_never()
        {
            if let Some(text) = self.take(user, message) {
                self.keep(text);
            }
        }
    }

    fn keep(&mut self, text: String) {
        if self.keeps {
            if self.kept.len() >= KEPT_MESSAGES {
                self.kept.pop_front();
            }
            self.kept.push_back(text);
        }
    }

    /// Counts what came; the text, if it is a message.
    fn take(&mut self, user: &mut User, message: Option<Result<Message, Error>>) -> Option<String> {
        let text = match message {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            Some(Ok(Message::Binary(bytes))) => String::from_utf8_lossy(&bytes).into_owned(),
            Some(Ok(Message::Close(frame))) => {
                self.close_with(user, frame.map_or(1005, |frame| frame.code.into()));
                return None;
            }
            Some(Ok(_)) => return None,
            Some(Err(_)) | None => {
                self.close_with(user, 1006);
                return None;
            }
        };
        if self.waiting || !user.shared.plan.as_artillery {
            user.record(|window| {
                window.count("websocket.messages_received", 1);
                window.tick("websocket.receive_rate");
            });
        }
        if let Some(chat) = &mut self.chat {
            chat.receive(user, &text);
        }
        Some(text)
    }

    fn close_with(&mut self, user: &User, code: u16) {
        // Only what the server began: after the user's own close nothing is counted.
        if self.closed.replace(code).is_none() && self.chat.is_some() {
            user.record(|window| window.count(&format!("chat.closed.{code}"), 1));
        }
    }
}

/// The scenario's value where it has one, else that of the config.
fn choose<'a, T>(
    own: Option<&'a WsSettings>,
    common: &'a WsSettings,
    of: impl Fn(&'a WsSettings) -> &'a Vec<T>,
) -> &'a [T] {
    own.map(&of).filter(|values| !values.is_empty()).unwrap_or_else(|| of(common))
}

fn split(text: &str) -> Vec<String> {
    text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn payload(user: &mut User, template: &JsonTemplate) -> String {
    if let Some(text) = fixed_text(template) {
        return text.to_owned();
    }
    match template {
        JsonTemplate::Text(Template::Value(_)) => template.value(user).as_ref().map(text_of).unwrap_or_default(),
        JsonTemplate::Text(text) => text.text(user),
        template => {
            let mut out = String::new();
            template.write(user, &mut out);
            out
        }
    }
}

/// Opens a WebSocket.
///
/// # Errors
/// When the server refuses, or no connection can be made in time.
pub async fn open(
    user: &User,
    url: &str,
    headers: &[(String, String)],
    subprotocols: &[String],
    limit: Duration,
) -> Result<WebSocketStream<Stream>, UserError> {
    let invalid = || UserError::new(format!("Invalid URL: {url}"));
    let parsed = Url::parse(url).map_err(|_| invalid())?;
    let origin = Origin::of(&parsed).ok_or_else(invalid)?;
    let request = upgrade(&parsed, &origin, headers, subprotocols).ok_or_else(invalid)?;
    let (stream, _) = user.shared.connector.connect(&origin, limit).await?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    let handshake = client_async_with_config(request, stream, Some(config));
    let (stream, _) =
        timeout(limit, handshake).await.map_err(|_| UserError::TIMED_OUT)?.map_err(|error| failed(&error))?;
    Ok(stream)
}

fn upgrade(url: &Url, origin: &Origin, headers: &[(String, String)], subprotocols: &[String]) -> Option<Request<()>> {
    let scheme = if origin.tls { "wss" } else { "ws" };
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    let url = format!("{scheme}://{}{}{query}", origin.authority(), url.path());
    let mut request = url.into_client_request().ok()?;
    if !subprotocols.is_empty() {
        let value = HeaderValue::from_str(&subprotocols.join(", ")).ok()?;
        request.headers_mut().insert("sec-websocket-protocol", value);
    }
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        request.headers_mut().insert(name, HeaderValue::from_bytes(value.as_bytes()).ok()?);
    }
    Some(request)
}

fn failed(error: &Error) -> UserError {
    match error {
        Error::Http(response) => UserError::new(format!("Unexpected server response: {}", response.status().as_u16())),
        Error::Io(error) => UserError::from(error),
        Error::ConnectionClosed | Error::AlreadyClosed => UserError::NOT_OPEN,
        Error::Protocol(tokio_tungstenite::tungstenite::error::ProtocolError::HandshakeIncomplete) => {
            UserError::known("socket hang up")
        }
        error => UserError::new(error.to_string()),
    }
}
