-- Appends one entry: compares the nonce, numbers, stores, updates the notice and publishes, atomically.
-- KEYS: log (list), meta (hash), nonces of the author (hash)
-- ARGV: candidate epoch, nonce or '', entry without its opening, at (ms), nonce window (s; 0: for good),
--       notice: '' unchanged, '-' cleared, else its JSON, channel
-- Returns: epoch, seq, at (ms), 1 if the nonce was known
local epoch = redis.call('HGET', KEYS[2], 'epoch')
if not epoch then
  epoch = ARGV[1]
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local nonce, at, window = ARGV[2], ARGV[4], tonumber(ARGV[5])
if nonce ~= '' then
  local known = redis.call('HGET', KEYS[3], nonce)
  if known then
    local seq, known_at = string.match(known, '^(%d+) (-?%d+)$')
    if window == 0 or tonumber(at) - tonumber(known_at) <= window * 1000 then
      return {epoch, tonumber(seq), known_at, 1}
    end
  end
end
local seq = redis.call('HINCRBY', KEYS[2], 'head', 1)
local entry = '{"seq":' .. string.format('%d', seq) .. ',' .. ARGV[3]
redis.call('RPUSH', KEYS[1], entry)
if ARGV[6] == '-' then
  redis.call('HDEL', KEYS[2], 'notice')
elseif ARGV[6] ~= '' then
  redis.call('HSET', KEYS[2], 'notice', ARGV[6])
end
if nonce ~= '' then
  redis.call('HSET', KEYS[3], nonce, string.format('%d', seq) .. ' ' .. at)
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
return {epoch, seq, at, 0}
