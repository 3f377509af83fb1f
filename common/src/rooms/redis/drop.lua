-- Removes the log of a room that is closed for good, unless anything was appended or changed since it was archived.
-- KEYS: meta (hash), log (list), and what else there is of the room
-- ARGV: epoch, head, how often entries had been changed
-- Returns: 1 if it is removed
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'head', 'changes')
if not meta[1] then
  return 1
end
if meta[1] ~= ARGV[1] or (meta[2] or '0') ~= ARGV[2] or (meta[3] or '0') ~= ARGV[3] then
  return 0
end
redis.call('DEL', unpack(KEYS))
return 1
