-- Lets a lease stand for some time from now.
--
-- KEYS[1]  the entry
-- ARGV[1]  the token of the lease, 16 bytes
-- ARGV[2]  how long it stands, ms; the key is kept at least as long
--
-- Replies  {1, now} if it stands, {0, now} if it is gone; the entry is what it was
-- Full     the error of the write; the entry is what it was
local key = KEYS[1]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local head = redis.pcall('GETRANGE', key, 0, 79)
if type(head) ~= 'string' then
  if not string.find(head.err, 'WRONGTYPE', 1, true) then return head end
  return {0, now}
end
if #head < 80 or string.sub(head, 1, 3) ~= 'CRE'
  or string.byte(head, 13) ~= 1 or string.sub(head, 17, 32) ~= ARGV[1] then
  return {0, now}
end

local written = redis.pcall('SETRANGE', key, 32, struct.pack('<I8', now + ARGV[2]))
if type(written) == 'table' then return written end
local left = redis.call('PTTL', key)
if left >= 0 and left < tonumber(ARGV[2]) then
  redis.call('PEXPIRE', key, ARGV[2])
end
return {1, now}
