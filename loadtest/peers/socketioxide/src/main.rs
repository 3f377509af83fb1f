//! Chat on socketioxide: rooms over its Redis adapter, the latest 1,000 messages of each room in a Redis list.

use redis::{AsyncCommands, aio::MultiplexedConnection};
use socketioxide::{
    SocketIo,
    adapter::Adapter,
    extract::{AckSender, Data, SocketRef, State},
};
use socketioxide_redis::{RedisAdapter, RedisAdapterCtr};

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let client = redis::Client::open(format!("{}?protocol=resp3", std::env::var("REDIS_URL")?))?;
    let adapter = RedisAdapterCtr::new_with_redis(&client).await?;
    let history = client.get_multiplexed_async_connection().await?;
    let (layer, io) =
        SocketIo::builder().with_state(history).with_adapter::<RedisAdapter<_>>(adapter).build_layer();
    io.ns("/", connected).await?;
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{}", std::env::var("PORT")?)).await?;
    Ok(axum::serve(listener, axum::Router::new().layer(layer)).await?)
}

async fn connected<A: Adapter>(socket: SocketRef<A>) {
    socket.on("join", join);
    socket.on("say", say);
    // An event that comes before its handler is there is dropped: clients wait for this.
    socket.emit("ready", &()).ok();
}

async fn join<A: Adapter>(
    socket: SocketRef<A>,
    Data(room): Data<String>,
    ack: AckSender<A>,
    State(mut history): State<MultiplexedConnection>,
) {
    let latest: Vec<String> = history.lrange(format!("room:{room}"), 0, 49).await.unwrap_or_default();
    socket.join(room);
    ack.send(&latest).ok();
}

async fn say<A: Adapter>(
    socket: SocketRef<A>,
    Data((room, text)): Data<(String, String)>,
    ack: AckSender<A>,
    State(mut history): State<MultiplexedConnection>,
) {
    let at = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().as_millis();
    let message = format!(r#"{{"room":"{room}","user":"{}","at":{at},"text":"{text}"}}"#, socket.id);
    let key = format!("room:{room}");
    let mut append = redis::pipe();
    append.atomic().lpush(&key, &message).ltrim(&key, 0, 999);
    if append.query_async::<()>(&mut history).await.is_ok() {
        socket.within(room).emit("message", &message).await.ok();
        ack.send(&true).ok();
    }
}
