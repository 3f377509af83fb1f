-- Who is in a room: connections come, go, are refreshed, and expire with the process that refreshed them.
-- KEYS: seats (sorted set of 'user:connection' by when they expire, ms), present (hash: user → 'connections person')
-- ARGV: 1 'enter' | 'exit' | 'refresh' | 'look', 2 time to live (ms), 3 channel, 4 room,
--       enter: 5 user, 6 connection, 7 person (JSON); exit: 5 user, 6 connection; refresh: 5… seats; look: 5 limit
-- Returns: people online, then
--       refresh: seats that had expired; look: people (JSON)
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local what, ttl, expiry = ARGV[1], ARGV[2], now + tonumber(ARGV[2])

local function tell(change, person)
  local online = redis.call('HLEN', KEYS[2])
  redis.call('SPUBLISH', ARGV[3], '~ {"type":"presence","room":"' .. ARGV[4] .. '","online":' .. online .. ',"' .. change .. '":' .. person .. '}')
end

local function leave(seat)
  if redis.call('ZREM', KEYS[1], seat) == 0 then
    return
  end
  local user = string.sub(seat, 1, 36)
  local connections, person = string.match(redis.call('HGET', KEYS[2], user) or '', '^(%d+) (.*)$')
  if not connections then
    return
  end
  if tonumber(connections) > 1 then
    redis.call('HSET', KEYS[2], user, (tonumber(connections) - 1) .. ' ' .. person)
  else
    redis.call('HDEL', KEYS[2], user)
    tell('left', person)
  end
end

local result = 0
if what == 'enter' then
  if redis.call('ZADD', KEYS[1], expiry, ARGV[5] .. ':' .. ARGV[6]) == 1 then
    local connections = string.match(redis.call('HGET', KEYS[2], ARGV[5]) or '', '^(%d+) ')
    redis.call('HSET', KEYS[2], ARGV[5], (tonumber(connections or '0') + 1) .. ' ' .. ARGV[7])
    if not connections then
      tell('joined', ARGV[7])
    end
  end
elseif what == 'exit' then
  leave(ARGV[5] .. ':' .. ARGV[6])
elseif what == 'refresh' then
  result = {}
  for i = 5, #ARGV do
    if redis.call('ZADD', KEYS[1], 'XX', 'CH', expiry, ARGV[i]) == 0 and not redis.call('ZSCORE', KEYS[1], ARGV[i]) then
      result[#result + 1] = ARGV[i]
    end
  end
end
for _, seat in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, 1000)) do
  leave(seat)
end
if what == 'look' then
  result = {}
  local people = redis.call('HRANDFIELD', KEYS[2], ARGV[5], 'WITHVALUES')
  for i = 2, #people, 2 do
    result[#result + 1] = string.match(people[i], '^%d+ (.*)$')
  end
elseif what ~= 'exit' then
  -- Nobody refreshes a room whose last process crashed.
  redis.call('PEXPIRE', KEYS[1], ttl * 6)
  redis.call('PEXPIRE', KEYS[2], ttl * 6)
end
return {redis.call('HLEN', KEYS[2]), result}
