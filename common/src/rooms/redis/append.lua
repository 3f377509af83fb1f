-- Appends one entry: compares the nonce, changes the target, numbers, stores, updates the notice and publishes, atomically.
-- KEYS: log (list), meta (hash), nonces of the author (hash), people (set)
-- ARGV: 1 epoch for a log that begins ('' if none may), 2 nonce or '', 3 entry without its opening, 4 at (ms),
--       5 nonce window (s; 0: for good), 6 notice: '' unchanged, '-' cleared, else its JSON, 7 channel,
--       8 whom it is from or about, or '', 9 seq of the target in the list, or '', 10 the target as it was, 11 as it becomes
-- Returns: 'absent' | 'closing' | 'moved' | 'known' | 'done', epoch, seq, at (ms), length of the list
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'closing')
local epoch = meta[1]
if not epoch then
  epoch = ARGV[1]
  if epoch == '' then
    return {'absent', '', 0, '0', 0}
  end
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local nonce, at, window = ARGV[2], ARGV[4], tonumber(ARGV[5])
-- Seconds of this server, not of the process that asks: its clock may jump, and a nonce must not be forgotten for that.
local now = tonumber(redis.call('TIME')[1])
if nonce ~= '' then
  local known = redis.call('HGET', KEYS[3], nonce)
  if known then
    local seq, known_at, noted = string.match(known, '^(%d+) (-?%d+) (%d+)$')
    if window == 0 or now - tonumber(noted) <= window then
      return {'known', epoch, tonumber(seq), known_at, 0}
    end
  end
end
if meta[2] then
  return {'closing', epoch, 0, '0', 0}
end
if ARGV[9] ~= '' then
  -- Counted from the end: the front of the list moves when entries are archived.
  local place = tonumber(ARGV[9]) - tonumber(redis.call('HGET', KEYS[2], 'head') or '0') - 1
  if redis.call('LINDEX', KEYS[1], place) ~= ARGV[10] then
    return {'moved', epoch, 0, '0', 0}
  end
  redis.call('LSET', KEYS[1], place, ARGV[11])
  redis.call('HINCRBY', KEYS[2], 'changes', 1)
end
local seq = redis.call('HINCRBY', KEYS[2], 'head', 1)
local entry = '{"seq":' .. string.format('%d', seq) .. ',' .. ARGV[3]
local length = redis.call('RPUSH', KEYS[1], entry)
if ARGV[6] == '-' then
  redis.call('HDEL', KEYS[2], 'notice')
elseif ARGV[6] ~= '' then
  redis.call('HSET', KEYS[2], 'notice', ARGV[6])
end
if ARGV[8] ~= '' then
  redis.call('SADD', KEYS[4], ARGV[8])
end
if nonce ~= '' then
  redis.call('HSET', KEYS[3], nonce, string.format('%d %s %d', seq, at, now))
  if window > 0 then
    redis.call('EXPIRE', KEYS[3], window)
  end
  -- The ring: the latest 256 are kept; trimming only when twice as many are there keeps the cost of one append constant.
  if redis.call('HLEN', KEYS[3]) > 512 then
    local all = redis.call('HGETALL', KEYS[3])
    local ring = {}
    for i = 1, #all, 2 do
      ring[#ring + 1] = {tonumber(string.match(all[i + 1], '^%d+')), all[i]}
    end
    table.sort(ring, function(a, b) return a[1] < b[1] end)
    for i = 1, #ring - 256 do
      redis.call('HDEL', KEYS[3], ring[i][2])
    end
  end
end
redis.call('SPUBLISH', ARGV[7], epoch .. ' ' .. entry)
return {'done', epoch, seq, at, length}
