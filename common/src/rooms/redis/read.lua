-- Reads the head and, if a limit is given, a page of the log.
-- KEYS: log (list), meta (hash)
-- ARGV: candidate epoch, 'latest' | 'after' | 'before', seq, limit
-- Returns: epoch, head, seq of the first entry, entries in ascending order
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local head = tonumber(redis.call('HGET', KEYS[2], 'head') or '0')
local limit = tonumber(ARGV[4])
if limit == 0 or head == 0 then
  return {epoch, head, head + 1, {}}
end
local first, last
if ARGV[2] == 'after' then
  first = tonumber(ARGV[3]) + 1
  last = math.min(head, first + limit - 1)
else
  last = head
  if ARGV[2] == 'before' then
    last = math.min(head, tonumber(ARGV[3]) - 1)
  end
  first = last - limit + 1
end
-- An entry's number is its place in the list: what the list has lost at its front is what the head is ahead of it.
local base = head - redis.call('LLEN', KEYS[1])
first = math.max(first, base + 1)
if first > last then
  return {epoch, head, head + 1, {}}
end
return {epoch, head, first, redis.call('LRANGE', KEYS[1], first - base - 1, last - base - 1)}
