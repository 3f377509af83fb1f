-- Appends entries of one author: compares each nonce, changes the target, numbers, stores, updates the notice and publishes,
-- atomically.
-- KEYS: log (list), meta (hash), nonces of the author (hash), people (set)
-- ARGV: 1 epoch for a log that begins ('' if none may), 2 nonce window (s; 0: for good), 3 channel,
--       4 seq of the target in the list, or '', 5 the target as it was, 6 as it becomes; then for each entry:
--       nonce or '', entry without its opening, at (ms), notice: '' unchanged, '-' cleared, else its JSON,
--       whom it is from or about, or ''
-- Returns for each entry: 'absent' | 'closing' | 'moved' | 'known' | 'done', epoch, seq, at (ms), length of the list
local FIRST, SIZE = 7, 5
local meta = redis.call('HMGET', KEYS[2], 'epoch', 'closing')
local epoch = meta[1]
local outcomes = {}
if not epoch then
  epoch = ARGV[1]
  if epoch == '' then
    for i = FIRST, #ARGV, SIZE do
      outcomes[#outcomes + 1] = {'absent', '', 0, '0', 0}
    end
    return outcomes
  end
  redis.call('HSET', KEYS[2], 'epoch', epoch)
end
local window = tonumber(ARGV[2])
-- Seconds of this server, not of the process that asks: its clock may jump, and a nonce must not be forgotten for that.
local now = tonumber(redis.call('TIME')[1])

local function append(nonce, tail, at, notice, person)
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
  if ARGV[4] ~= '' then
    -- Counted from the end: the front of the list moves when entries are archived.
    local place = tonumber(ARGV[4]) - tonumber(redis.call('HGET', KEYS[2], 'head') or '0') - 1
    if redis.call('LINDEX', KEYS[1], place) ~= ARGV[5] then
      return {'moved', epoch, 0, '0', 0}
    end
    redis.call('LSET', KEYS[1], place, ARGV[6])
    redis.call('HINCRBY', KEYS[2], 'changes', 1)
  end
  local seq = redis.call('HINCRBY', KEYS[2], 'head', 1)
  local entry = '{"seq":' .. string.format('%d', seq) .. ',' .. tail
  local length = redis.call('RPUSH', KEYS[1], entry)
  if notice == '-' then
    redis.call('HDEL', KEYS[2], 'notice')
  elseif notice ~= '' then
    redis.call('HSET', KEYS[2], 'notice', notice)
  end
  if person ~= '' then
    redis.call('SADD', KEYS[4], person)
  end
  if nonce ~= '' then
    redis.call('HSET', KEYS[3], nonce, string.format('%d %s %d', seq, at, now))
  end
  redis.call('SPUBLISH', ARGV[3], epoch .. ' ' .. entry)
  return {'done', epoch, seq, at, length}
end

local noted = false
for i = FIRST, #ARGV, SIZE do
  local outcome = append(ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4])
  noted = noted or (ARGV[i] ~= '' and outcome[1] == 'done')
  outcomes[#outcomes + 1] = outcome
end
if noted then
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
return outcomes
