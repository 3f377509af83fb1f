-- Lets a log take no more entries. One that has not begun cannot begin: SQL knows that the room is closing.
-- KEYS: meta (hash)
if redis.call('HEXISTS', KEYS[1], 'epoch') == 1 then
  redis.call('HSET', KEYS[1], 'closing', '1')
end
