-- Moves the mark up to where someone has read, never back and never beyond the head, and tells the room.
-- KEYS: reads (hash), meta (hash)
-- ARGV: user, seq, channel, room, person (JSON)
-- Returns: where the mark is
local mark = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
local seq = math.min(tonumber(ARGV[2]), tonumber(redis.call('HGET', KEYS[2], 'head') or '0'))
if seq <= mark then
  return mark
end
local text = string.format('%d', seq)
redis.call('HSET', KEYS[1], ARGV[1], text)
redis.call('SPUBLISH', ARGV[3], '~ {"type":"read","room":"' .. ARGV[4] .. '","user":' .. ARGV[5] .. ',"seq":' .. text .. '}')
return seq
