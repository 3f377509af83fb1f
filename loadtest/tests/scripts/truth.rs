//! The instrument's own truth: what is injected is what is reported.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::support::{ChatTarget, Fault, HttpTarget, run};
use loadtest::{
    metrics::{Report, Summary},
    runner::Settings,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Users who all are in the room before the first message, and stay until the last has come.
const USERS: u64 = 4;
const MESSAGES: u64 = 20;

fn chat(port: u16) -> String {
    format!(
        "config:
  target: ws://127.0.0.1:{port}
  chat: {{ room: all, grace: 200ms }}
  phases: [{{ duration: 0.1, arrivalCount: {USERS} }}]
scenarios:
  - engine: ws
    flow:
      - think: 0.4
      - loop:
          - send: {{ type: send, text: \"hello {{{{ $stamp }}}}\" }}
          - think: 20ms
        count: {MESSAGES}
      - think: 4
"
    )
}

async fn report_of(fault: Fault) -> (Report, u64) {
    let target = ChatTarget::start(fault).await;
    let report = run(&chat(target.port), Settings::default()).await;
    (report, target.faults.load(Ordering::Relaxed))
}

fn counts(report: &Report) -> [u64; 5] {
    ["expected", "received", "lost", "duplicates", "reordered"]
        .map(|name| report.aggregate.counters.get(&format!("chat.{name}")).copied().unwrap_or(0))
}

fn delivery(report: &Report) -> Summary {
    report.aggregate.summaries["chat.delivery"]
}

const ALL: u64 = USERS * USERS * MESSAGES;

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_chat_is_reported_as_what_it_is() {
    let (none, loss, duplicates, reordering, delay, stall) = tokio::join!(
        report_of(Fault::None),
        report_of(Fault::Loss),
        report_of(Fault::Duplicates),
        report_of(Fault::Reordering),
        report_of(Fault::Delay(Duration::from_millis(50))),
        report_of(Fault::Stall(Duration::from_secs(2))),
    );
    assert_eq!(counts(&none.0), [ALL, ALL, 0, 0, 0]);

    assert!(loss.1 > 0);
    assert_eq!(counts(&loss.0), [ALL, ALL - loss.1, loss.1, 0, 0]);

    assert!(duplicates.1 > 0);
    assert_eq!(counts(&duplicates.0), [ALL, ALL, 0, duplicates.1, 0]);

    assert_eq!(reordering.1, USERS * USERS);
    assert_eq!(counts(&reordering.0), [ALL, ALL, 0, 0, reordering.1]);

    assert_eq!(counts(&delay.0), [ALL, ALL, 0, 0, 0]);
    assert!(delivery(&delay.0).min >= 50.0, "{:?}", delivery(&delay.0));
    assert!(delivery(&none.0).min < 50.0, "{:?}", delivery(&none.0));

    // Who talks does not wait for the server, so the stall is seen by every message that was due in it.
    assert_eq!(counts(&stall.0), [ALL, ALL, 0, 0, 0]);
    let stalled = delivery(&stall.0);
    assert!(stalled.max >= 1_950.0 && stalled.median >= 1_400.0, "{stalled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stall_is_in_the_corrected_times_as_long_as_it_was() {
    let target = HttpTarget::start(100, Duration::from_secs(2)).await;
    let script = format!(
        "config:
  target: http://127.0.0.1:{}
  phases: [{{ duration: 1, arrivalCount: 1 }}]
scenarios:
  - flow:
      - loop:
          - get: {{ url: / }}
          - think: 10ms
        count: 200
",
        target.port
    );
    let report = run(&script, Settings::default()).await;
    let (seen, corrected) =
        (report.aggregate.summaries["http.response_time"], report.aggregate.summaries["http.response_time.corrected"]);
    assert_eq!(seen.count, 200);
    // Only one request waited, though for two seconds nobody would have got an answer.
    assert!(seen.p95 < 1_000.0 && seen.max >= 1_990.0, "{seen:?}");
    assert!(corrected.count > 240 && corrected.max >= 1_990.0, "{corrected:?}");
    assert!(corrected.p95 >= 1_000.0, "{corrected:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_echo_takes_as_long_as_it_takes_a_raw_client() {
    let target = HttpTarget::start(0, Duration::ZERO).await;
    let script = format!(
        "config:
  target: http://127.0.0.1:{}
  phases: [{{ duration: 1, arrivalCount: 1 }}]
scenarios:
  - flow:
      - loop:
          - get: {{ url: / }}
        count: 1000
",
        target.port
    );
    // The machine is as busy for one as for the other: both are measured several times, and the best is taken.
    let (mut raw, mut ours) = (f64::MAX, f64::MAX);
    for _ in 0..5 {
        raw = raw.min(raw_median(target.port).await);
        let report = run(&script, Settings::default()).await;
        ours = ours.min(report.aggregate.summaries["http.response_time"].median);
    }
    assert!((ours - raw).abs() < 0.2, "ours {ours:.3} ms, raw {raw:.3} ms");
}

/// Median of a thousand round trips of a client that does nothing else, in milliseconds.
async fn raw_median(port: u16) -> f64 {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut times = Vec::new();
    let mut buffer = [0; 1024];
    for _ in 0..1000 {
        let began = Instant::now();
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut buffer).await.unwrap() > 0);
        times.push(began.elapsed());
    }
    times.sort();
    times[500].as_secs_f64() * 1000.0
}
