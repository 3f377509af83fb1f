-- Replaces entries and the notice, each only if it is what it was.
-- KEYS: log (list), meta (hash), people (set)
-- ARGV: person to forget if everything was replaced, notice as it was, as it becomes, then for each entry: seq, as it was, as it becomes
-- Returns: 1 if everything was replaced
if redis.call('HEXISTS', KEYS[2], 'epoch') == 0 then
  return 1
end
local all = 1
local head = tonumber(redis.call('HGET', KEYS[2], 'head') or '0')
if ARGV[2] ~= '' then
  if redis.call('HGET', KEYS[2], 'notice') == ARGV[2] then
    redis.call('HSET', KEYS[2], 'notice', ARGV[3])
  else
    all = 0
  end
end
for i = 4, #ARGV, 3 do
  local place = tonumber(ARGV[i]) - head - 1
  if redis.call('LINDEX', KEYS[1], place) == ARGV[i + 1] then
    redis.call('LSET', KEYS[1], place, ARGV[i + 2])
  else
    all = 0
  end
end
redis.call('HINCRBY', KEYS[2], 'changes', 1)
if all == 1 then
  redis.call('SREM', KEYS[3], ARGV[1])
end
return all
