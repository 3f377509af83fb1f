-- Shows that a slot takes writes, and, when it is heard, that what is published there is heard.
-- KEYS: probe (string)
-- ARGV: time to live (ms), channel
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('SPUBLISH', ARGV[2], '')
return 1
