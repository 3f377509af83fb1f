-- Takes entries that have been archived off the front of the list, unless anything changed since they were read.
-- KEYS: log (list), meta (hash)
-- ARGV: epoch, entries that had left the list, how often entries had been changed, entries to take
-- Returns: 1 if they were taken
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'head', 'changes')
local base = tonumber(meta[2] or '0') - redis.call('LLEN', KEYS[1])
if meta[1] ~= ARGV[1] or base ~= tonumber(ARGV[2]) or (meta[3] or '0') ~= ARGV[3] then
  return 0
end
redis.call('LTRIM', KEYS[1], tonumber(ARGV[4]), -1)
return 1
