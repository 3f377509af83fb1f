-- Reads the head and, if a limit is given, a page of the list.
-- KEYS: log (list), meta (hash)
-- ARGV: epoch for a log that begins ('' if none may), 'latest' | 'after' | 'before', seq, limit
-- Returns: epoch ('' if there is no log), head, entries that have left the list, how often entries were changed,
--          seq of the first entry returned, entries in ascending order, notice ('' if none)
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'head', 'changes', 'notice')
local epoch = meta[1]
if not epoch then
  epoch = ARGV[1]
  if epoch == '' then
    return {'', 0, 0, 0, 1, {}, ''}
  end
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local head, changes, limit = tonumber(meta[2] or '0'), tonumber(meta[3] or '0'), tonumber(ARGV[4])
local notice = meta[4] or ''
-- An entry's number is its place in the list: what the list has lost at its front is what the head is ahead of it.
local base = head - redis.call('LLEN', KEYS[1])
local first, last
if ARGV[2] == 'after' then
  first = math.max(tonumber(ARGV[3]), base) + 1
  last = math.min(head, first + limit - 1)
else
  last = head
  if ARGV[2] == 'before' then
    last = math.min(head, tonumber(ARGV[3]) - 1)
  end
  first = math.max(last - limit, base) + 1
end
if first > last then
  return {epoch, head, base, changes, last + 1, {}, notice}
end
return {epoch, head, base, changes, first, redis.call('LRANGE', KEYS[1], first - base - 1, last - base - 1), notice}
