// Chat on Socket.IO: rooms over the Redis adapter, the latest 1,000 messages of each room in a Redis list.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const redis = createClient({ url: process.env.REDIS_URL });
const subscriber = redis.duplicate();
await Promise.all([redis.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { transports: ["websocket"], adapter: createAdapter(redis, subscriber) });
io.on("connection", (socket) => {
  socket.on("join", async (room, done) => {
    await socket.join(room);
    done(await redis.lRange(`room:${room}`, 0, 49));
  });
  socket.on("say", async (room, text, done) => {
    const message = JSON.stringify({ room, user: socket.id, at: new Date().toISOString(), text });
    await redis.multi().lPush(`room:${room}`, message).lTrim(`room:${room}`, 0, 999).exec();
    io.to(room).emit("message", message);
    done(true);
  });
});
http.listen(Number(process.env.PORT), "127.0.0.1");
