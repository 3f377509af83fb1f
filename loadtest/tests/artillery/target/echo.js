// A trivial target on one loopback port: HTTP, plain WebSocket and Socket.IO.
// usage: node echo.js PORT     GET /__counts answers what it saw, POST /__reset forgets it.
'use strict';
const http = require('http'), zlib = require('zlib'), { WebSocketServer } = require('ws'), { Server } = require('socket.io');
const port = Number(process.argv[2]);
let c; const reset = () => { c = { http: 0, codes: {}, paths: {}, wsOpened: 0, wsClosed: 0, wsRefused: 0, wsIn: 0, wsOut: 0, wsPaths: {}, subprotocols: {}, sio: 0, sioEvents: {}, conns: 0 }; }; reset();
const bump = (o, k) => { o[k] = (o[k] || 0) + 1; };
let nextId = 1;
const server = http.createServer((req, res) => {
  const url = new URL(req.url, 'http://x'); let body = [];
  req.on('data', d => body.push(d));
  req.on('end', () => {
    const p = url.pathname;
    if (p === '/__counts') { res.setHeader('content-type', 'application/json'); return res.end(JSON.stringify(c, null, 1)); }
    if (p === '/__reset') { reset(); return res.end('ok'); }
    body = Buffer.concat(body).toString(); c.http++; bump(c.paths, req.method + ' ' + p);
    const done = (code, o, h = {}) => { bump(c.codes, code); const s = typeof o === 'string' ? o : JSON.stringify(o);
      res.writeHead(code, { 'content-type': typeof o === 'string' ? 'text/plain' : 'application/json', ...h }); res.end(s); };
    let m;
    if (p === '/echo') return done(200, { method: req.method, query: Object.fromEntries(url.searchParams), headers: req.headers, body });
    if ((m = p.match(/^\/status\/(\d+)$/))) return done(Number(m[1]), { status: Number(m[1]) });
    if (p === '/signup') return done(201, { id: nextId++ });
    if (p === '/login') return done(200, { accessToken: 'at-' + nextId, refreshToken: 'rt-' + nextId++, user: { id: 7, tags: ['a', 'b'] } }, { 'x-session': 's-1' });
    if (p === '/me') return /^Bearer at-\d+$/.test(req.headers.authorization || req.headers.accesstoken || '') ? done(200, { id: 7 }) : done(401, { error: 'no token' });
    if (p === '/items') return done(200, { items: [{ id: 11 }, { id: 12 }, { id: 13 }] });
    if (p === '/text') return done(200, 'order id=42; state=open');
    if (p === '/redirect') return done(302, {}, { location: '/status/200' });
    if (p === '/slow') return setTimeout(() => done(200, { ok: true }), Number(url.searchParams.get('ms') || 300));
    if (p === '/set-cookie') return done(200, { ok: true }, { 'set-cookie': 'sid=abc; Path=/' });
    if (p === '/need-cookie') return done(/sid=abc/.test(req.headers.cookie || '') ? 200 : 403, {});
    if (p === '/gzip') { bump(c.codes, 200); res.writeHead(200, { 'content-type': 'application/json', 'content-encoding': 'gzip' }); return res.end(zlib.gzipSync('{"zipped":true}')); }
    if (p === '/drop') { bump(c.codes, 'dropped'); return req.socket.destroy(); }
    done(404, { error: 'no such path' });
  });
});
server.on('connection', () => c.conns++);
const wss = new WebSocketServer({ noServer: true, handleProtocols: set => { const [f] = set; bump(c.subprotocols, f); return f; } });
const rooms = new Map();
server.on('upgrade', (req, socket, head) => {
  const url = new URL(req.url, 'http://x');
  if (url.pathname.startsWith('/socket.io')) return; // socket.io takes it
  if (url.pathname === '/deny') { c.wsRefused++; socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'); return; }
  wss.handleUpgrade(req, socket, head, ws => {
    c.wsOpened++; bump(c.wsPaths, url.pathname + url.search);
    const room = url.pathname.startsWith('/room/') ? url.pathname : null;
    if (room) { if (!rooms.has(room)) rooms.set(room, new Set()); rooms.get(room).add(ws); }
    const send = (to, t) => { if (to.readyState === 1) { c.wsOut++; to.send(t); } };
    if (url.pathname === '/greet') send(ws, JSON.stringify({ type: 'hello', session: 'w-1' }));
    ws.on('message', (d, bin) => { c.wsIn++; const t = bin ? d : d.toString();
      if (url.pathname === '/bye') return ws.close(4001, 'bye');
      if (url.pathname === '/mute') return;
      if (room) for (const other of rooms.get(room)) send(other, t); else send(ws, t); });
    ws.on('close', () => { c.wsClosed++; if (room) rooms.get(room).delete(ws); });
    ws.on('error', () => {});
  });
});
const io = new Server(server);
const wire = nsp => nsp.on('connection', s => { c.sio++;
  s.on('echo', (d, ack) => { bump(c.sioEvents, 'echo'); if (typeof ack === 'function') ack(d); s.emit('echoed', d); });
  s.on('join', (d, ack) => { bump(c.sioEvents, 'join'); s.join(d.room); if (typeof ack === 'function') ack({ ok: true, room: d.room }); });
  s.on('say', d => { bump(c.sioEvents, 'say'); nsp.to(d.room).emit('said', d); }); });
wire(io); wire(io.of('/chat'));
server.listen(port, '127.0.0.1', () => console.log('echo on', server.address().port));
