// Chat on Bun's WebSocket pub/sub: Redis carries messages between servers and keeps the latest 1,000 of each room.
import { RedisClient } from "bun";

const redis = new RedisClient(process.env.REDIS_URL);
const subscriber = new RedisClient(process.env.REDIS_URL);
await Promise.all([redis.connect(), subscriber.connect()]);

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.env.PORT),
  fetch: (request, server) => (server.upgrade(request) ? undefined : new Response("", { status: 400 })),
  websocket: {
    async message(socket, frame) {
      const { join, id, room, text } = JSON.parse(frame);
      if (join) {
        socket.subscribe(join);
        const history = await redis.send("LRANGE", [`room:${join}`, "0", "49"]);
        return socket.send(JSON.stringify({ joined: join, history }));
      }
      const message = JSON.stringify({ room, at: new Date().toISOString(), text });
      redis.send("LPUSH", [`room:${room}`, message]);
      redis.send("LTRIM", [`room:${room}`, "0", "999"]);
      await redis.publish("chat", message);
      socket.send(`{"ack":${id}}`);
    },
  },
});
await subscriber.subscribe("chat", (message) => server.publish(JSON.parse(message).room, message));
