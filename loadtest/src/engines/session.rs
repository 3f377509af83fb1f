//! A user's way through a flow: steps, loops, thinking, steps at the same time.

use std::time::{Duration, Instant};

use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use serde_json::Value;

use super::{error::UserError, http, socketio::SocketIo, user::User, ws::WebSocket};
use crate::script::{
    duration,
    flow::turns,
    plan::{Engine, Jitter, Repetition, Scenario, Step, Turns},
    template::{JsonTemplate, Scope},
};

/// A user that goes through a scenario.
pub struct Session {
    /// The user.
    pub user: User,
    socket: Socket,
    /// When the step that runs was due: what a message's stamp says.
    due: Instant,
}

enum Socket {
    None,
    Ws(Box<WebSocket>),
    Io(Box<SocketIo>),
}

impl Session {
    /// Runs a whole scenario, and closes what it has opened. The user is given back also when it fails. The outcome is
    /// `None` if the run was stopped.
    pub async fn run(user: User, scenario: &Scenario, due: Instant) -> (User, Option<Result<(), UserError>>) {
        let stop = user.shared.stop.clone();
        let mut session = Self { user, socket: Socket::None, due };
        let outcome = tokio::select! {
            outcome = session.flow(scenario) => Some(outcome),
            () = stop.cancelled() => None,
        };
        (session.close().await, outcome)
    }

    async fn flow(&mut self, scenario: &Scenario) -> Result<(), UserError> {
        self.socket = match scenario.engine {
            Engine::Http => Socket::None,
            Engine::Ws => Socket::Ws(Box::new(WebSocket::connect(&mut self.user, scenario).await?)),
            Engine::SocketIo => Socket::Io(Box::new(SocketIo::connect(&mut self.user, scenario).await?)),
        };
        self.steps(&scenario.flow).await
    }

    async fn close(self) -> User {
        let mut user = self.user;
        match self.socket {
            Socket::None => {}
            Socket::Ws(socket) => socket.close(&mut user).await,
            Socket::Io(socket) => socket.close(&mut user).await,
        }
        user
    }

    fn steps<'a>(&'a mut self, steps: &'a [Step]) -> BoxFuture<'a, Result<(), UserError>> {
        async move {
            for step in steps {
                self.step(step).await?;
            }
            Ok(())
        }
        .boxed()
    }

    async fn step(&mut self, step: &Step) -> Result<(), UserError> {
        match step {
            Step::Request(request) => {
                http::request(&mut self.user, request, !matches!(self.socket, Socket::Io(_))).await?;
            }
            Step::Think { duration, jitter } => return self.think(duration, *jitter).await,
            Step::Log(template) => {
                let text = template.text(&mut self.user);
                (self.user.shared.print)(&text);
                return Ok(());
            }
            Step::Loop(repetition) => return self.repeat(repetition).await,
            Step::Parallel { steps, limit } => self.parallel(steps, *limit).await?,
            Step::Send(send) => {
                if let Socket::Ws(socket) = &mut self.socket {
                    socket.send(&mut self.user, send, self.due).await?;
                }
                if send.answer.is_empty() {
                    return Ok(());
                }
            }
            Step::Wait(answer) => {
                if let Socket::Ws(socket) = &mut self.socket {
                    socket.wait(&mut self.user, answer).await?;
                }
            }
            Step::Emit(emit) => {
                if let Socket::Io(socket) = &mut self.socket {
                    socket.emit(&mut self.user, emit, self.due).await?;
                }
                if emit.response.is_none() && emit.acknowledge.is_none() {
                    return Ok(());
                }
            }
        }
        // Who has waited for an answer thinks from now on; who has not keeps to its times, however late it was sent.
        self.due = Instant::now();
        Ok(())
    }

    /// Does nothing for a while, except to read what comes.
    async fn think(&mut self, template: &JsonTemplate, jitter: Option<Jitter>) -> Result<(), UserError> {
        let fractions = if self.user.shared.plan.as_artillery {
            duration::Fractions::Milliseconds
        } else {
            duration::Fractions::Seconds
        };
        let value = template.value(&mut self.user).unwrap_or(Value::Null);
        let mean = duration::parse(&value, fractions).map_err(UserError::new)?;
        let wanted = jittered(&mut self.user, mean, jitter);
        self.due += wanted;
        let until = self.due.into();
        match &mut self.socket {
            Socket::None => tokio::time::sleep_until(until).await,
            Socket::Ws(socket) => socket.idle(&mut self.user, until).await,
            Socket::Io(socket) => socket.idle(&mut self.user, until).await,
        }
        Ok(())
    }

    async fn repeat(&mut self, repetition: &Repetition) -> Result<(), UserError> {
        let items = match &repetition.turns {
            Turns::Forever => return self.count(repetition, 0, None).await,
            Turns::Count(template) => {
                let text = template.text(&mut self.user);
                let (from, to) =
                    turns(&text).ok_or_else(|| UserError::new(format!("`{text}` is no number of turns")))?;
                let endless = self.user.shared.plan.as_artillery && to == Some(0);
                return self.count(repetition, from, if endless { None } else { to }).await;
            }
            Turns::Over(items) => items.iter().map(|item| item.value(&mut self.user).unwrap_or(Value::Null)).collect(),
            Turns::OverVariable(template) => match template.value(&mut self.user) {
                Some(Value::Array(items)) => items,
                _ => Vec::new(),
            },
        };
        for (index, item) in items.into_iter().enumerate() {
            self.turn(repetition, index.into(), item).await?;
        }
        Ok(())
    }

    async fn count(&mut self, repetition: &Repetition, from: i64, to: Option<i64>) -> Result<(), UserError> {
        let mut counter = from;
        while to.is_none_or(|to| counter < to) {
            self.turn(repetition, counter.into(), counter.into()).await?;
            counter += 1;
            // A loop without anything to wait for must not keep a thread for itself.
            tokio::task::consume_budget().await;
        }
        Ok(())
    }

    async fn turn(&mut self, repetition: &Repetition, counter: Value, element: Value) -> Result<(), UserError> {
        self.user.set(&repetition.counter, counter);
        self.user.set(&repetition.element, element);
        self.steps(&repetition.steps).await
    }

    /// Runs steps at the same time, each as a copy of the user whose captures are taken over when it ends.
    fn parallel<'a>(&'a mut self, steps: &'a [Step], limit: usize) -> BoxFuture<'a, Result<(), UserError>> {
        let branches: Vec<_> = steps.iter().map(|step| Self::branch(self.user.fork(), step, self.due)).collect();
        async move {
            let mut running = stream::iter(branches).buffer_unordered(limit);
            let mut outcome = Ok(());
            while let Some((fork, ended)) = running.next().await {
                self.user.join(fork);
                outcome = outcome.and(ended);
            }
            outcome
        }
        .boxed()
    }

    fn branch(user: User, step: &Step, due: Instant) -> BoxFuture<'_, (User, Result<(), UserError>)> {
        async move {
            let mut session = Self { user, socket: Socket::None, due };
            let outcome = session.steps(std::slice::from_ref(step)).await;
            (session.user, outcome)
        }
        .boxed()
    }
}

fn jittered(user: &mut User, mean: Duration, jitter: Option<Jitter>) -> Duration {
    let width = match jitter {
        None => return mean,
        Some(Jitter::Percent(percent)) => mean.as_secs_f64() * percent / 100.0,
        Some(Jitter::Millis(millis)) => millis / 1000.0,
    };
    let drawn = f64::from(user.random().next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0;
    Duration::try_from_secs_f64((mean.as_secs_f64() + drawn * width).max(0.0)).unwrap_or(mean)
}
